"""More requests than may wait are refused at once, with a hint when to come again."""

from __future__ import annotations

import time

import grpc
import numpy as np
import pytest
from convnest_api.v1 import classification_pb2 as pb
from convnest_api.v1 import datasets_pb2, jobs_pb2
from convnest_store.blobs import Blob
from convnest_store.connection import connect
from convnest_store.images import ImageShape
from convnest_store.registry import ModelRegistry, ModelVersion, Preprocessing
from support.api import Api, refusal
from support.payloads import npz
from support.processes import Fleet

SIDES = (4, 4, 1)
#: A version that exists, though nobody is there to serve it.
VERSION = ModelVersion(
    model="alone",
    version=1,
    job_id="j",
    network={"name": "mlp", "options": {}},
    classes=("a", "b"),
    preprocessing=Preprocessing(ImageShape(*SIDES), (0.5,), (0.25,)),
    parameters=10,
    weights=Blob("k", "sha256:w", 40),
    dataset="d",
    dataset_digest="sha256:d",
    spec={},
    history=(),
    test_accuracy=None,
    fingerprint={},
    manifest_key="mk",
    created_ms=1,
)
A_CALL = 250


@pytest.fixture
def unserved(fleet: Fleet) -> Fleet:
    """A server without a worker."""
    fleet.start_server()
    with connect(fleet.state.url, decode=True) as client:
        ModelRegistry(client).restore(VERSION)
    return fleet


def test_of_ten_thousand_requests_those_that_fit_wait_and_the_others_are_told(
    unserved: Fleet,
) -> None:
    tensor = pb.Tensor(type=pb.TENSOR_TYPE_UINT8, shape=(A_CALL, *SIDES), data=bytes(16 * A_CALL))
    request = pb.ClassifyRequest(model="alone", images=[pb.Image(tensor=tensor)])
    with grpc.insecure_channel(unserved.address) as channel:
        api = Api(channel)
        started = time.monotonic()
        calls = [api.classification.Classify.future(request, timeout=4) for _ in range(40)]
        # Those that wait have no answer before their deadline; the others had one at once.
        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        refused = [call for call in calls if call.code() is exhausted]
        assert len(refused) == 40 - 2000 // A_CALL
        for call in refused:
            found = refusal(call.result)
            assert found.reason == "QUEUE_FULL"
            assert found.retry_after_s == 1
        waited = [call for call in calls if call not in refused]
        assert {call.code() for call in waited} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert time.monotonic() - started < 10
        # There is room again: this one waits as well.
        with pytest.raises(grpc.RpcError) as caught:
            api.classification.Classify(request, timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_answer_too_large_for_a_message_is_told_as_one(api: Api, fresh_name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 200, 200, 3), dtype=np.uint8)
    job = api.upload(fresh_name, npz(images=images, labels=np.arange(12) % 2))
    assert api.ended(job.id).state == jobs_pb2.JOB_STATE_SUCCEEDED
    request = datasets_pb2.SampleDatasetRequest(name=fresh_name, count=12)
    # gRPC refuses it on its way out: there is a status and a sentence, no details.
    with pytest.raises(grpc.RpcError) as caught:
        api.datasets.SampleDataset(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(caught.value.details())
    request.count = 2
    assert len(api.datasets.SampleDataset(request).images) == 2
