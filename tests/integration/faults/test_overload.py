"""What is too much is refused with a hint, and what was taken is answered."""

import grpc
import psutil
from convnest_api.v1 import classification_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from support.shop import Shop, StartWorker
from support.waiting import until

_IMAGES = 10
_CALLS = 1000
_MORE_BYTES = 150 * 2**20


def test_of_10000_waiting_requests_the_queue_takes_its_share_and_refuses_the_rest_with_a_hint(
    shop: Shop, start_worker: StartWorker
) -> None:
    server = psutil.Process(shop.server_pid)
    before = server.memory_info().rss
    images = [classification_pb2.Image(encoded=picture) for picture in shop.pictures[:_IMAGES]]
    request = classification_pb2.ClassifyRequest(model="quick", images=images)
    # A call is one request a picture.
    calls = [shop.stub.Classify.future(request, timeout=60) for _ in range(_CALLS)]
    taken = 2000 // _IMAGES
    until(
        lambda: sum(call.done() for call in calls) >= _CALLS - taken,
        within_s=60,
        what="what is too much is refused",
    )
    assert server.memory_info().rss - before < _MORE_BYTES
    start_worker("worker")
    refusals = [error for call in calls if (error := call.exception()) is not None]
    answers = [call.result() for call in calls if call.exception() is None]
    # One call may have met the limit with some of its pictures in.
    assert taken - 1 <= len(answers) <= taken
    best = shop.right["quick"][:_IMAGES].argmax(axis=1).tolist()
    for answer in answers:
        assert [result.scores[0].index for result in answer.results] == best
    for refusal in refusals:
        assert isinstance(refusal, grpc.RpcError)
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert _retry_after_s(refusal) > 0


def _retry_after_s(error: grpc.RpcError) -> float:
    status = rpc_status.from_call(error)
    hint = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(hint) for detail in status.details)
    return float(hint.retry_delay.ToTimedelta().total_seconds())
