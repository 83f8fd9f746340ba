"""An upload is taken whole or not at all, whatever comes instead of one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from convnest_api.v1 import datasets_pb2 as pb
from convnest_api.v1 import jobs_pb2, system_pb2, training_pb2
from convnest_store.blobs import BlobStore
from support.api import MAX_UPLOAD_BYTES, Api, Refusal, parts, refusal
from support.payloads import arrays, npz
from support.processes import Fleet
from support.waiting import until

Part = pb.UploadDatasetRequest
DATA = npz(**arrays())


def header(name: str, **options: object) -> pb.UploadHeader:
    return pb.UploadHeader(**{"name": name, "format": "npz", **options})  # type: ignore[arg-type]


def refused(api: Api, *messages: Part) -> Refusal:
    return refusal(lambda: api.datasets.UploadDataset(iter(messages), timeout=10))


@pytest.fixture(autouse=True)
def nothing_is_left(api: Api, served: Fleet, blobs: BlobStore) -> Iterator[None]:
    """No blob, no scratch file and no job that waits or runs more than before."""

    def left() -> tuple[set[str], list[Path], int]:
        jobs = api.system.GetStatus(system_pb2.GetStatusRequest()).jobs
        scratch = list((served.folder / "run").glob("upload-*"))
        active = jobs["QUEUED"] + jobs["RUNNING"] + jobs["SUCCEEDED"]
        return {info.key for info in blobs.list()}, scratch, active

    before = left()
    yield
    until(lambda: left() == before, within_s=10, what="nothing is left")


def test_a_stream_that_is_no_upload_is_refused(api: Api, fresh_name: str) -> None:
    first = Part(header=header(fresh_name))
    chunk = Part(chunk=b"data")
    for messages, field in (
        ((), "header"),
        ((chunk,), "header"),
        ((Part(),), "header"),
        ((first, first), "chunk"),
        ((first, chunk, first), "chunk"),
        ((first, Part()), "chunk"),
        ((first,), "chunk"),
        ((first, Part(chunk=b"")), "chunk"),
    ):
        found = refused(api, *messages)
        assert found.code is grpc.StatusCode.INVALID_ARGUMENT
        assert found.fields.keys() == {field}


def test_every_field_of_the_header_is_checked_at_once(api: Api) -> None:
    bad = header("../up", format="tar", shape=jobs_pb2.ImageShape(height=0, width=5, channels=2))
    found = refused(api, Part(header=bad))
    assert found.fields.keys() == {"header.name", "header.format", "header.shape"}
    assert found.fields["header.format"] == "must be one of npz, zip, got 'tar'"
    assert found.fields["header.shape"] == "height must be 1 to 4096, got 0"


def test_a_taken_name_is_refused_before_a_byte_is_sent(api: Api, digits: str) -> None:
    found = refused(api, Part(header=header(digits)))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert found.message == "dataset digits exists already"


def test_more_bytes_than_are_taken_are_refused(api: Api, fresh_name: str) -> None:
    announced = header(fresh_name, size_bytes=2**63)
    assert refused(api, Part(header=announced)).reason == "TOO_LARGE"
    unannounced = parts(header(fresh_name), bytes(MAX_UPLOAD_BYTES + 1))
    found = refusal(lambda: api.datasets.UploadDataset(unannounced, timeout=20))
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE")
    assert f"at most {MAX_UPLOAD_BYTES:,} are taken" in found.message


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_another_size_than_announced_is_refused(api: Api, fresh_name: str, size: int) -> None:
    messages = parts(header(fresh_name, size_bytes=size), DATA)
    found = refusal(lambda: api.datasets.UploadDataset(messages, timeout=10))
    assert found.fields == {
        "header.size_bytes": f"{size:,} bytes were announced, {len(DATA):,} came"
    }


def test_a_caller_who_goes_in_the_middle_leaves_nothing(
    api: Api, served: Fleet, fresh_name: str
) -> None:
    more = threading.Event()

    def endless() -> Iterator[Part]:
        yield Part(header=header(fresh_name))
        for _ in range(40):
            yield Part(chunk=bytes(2**18))
        more.wait()

    call = api.datasets.UploadDataset.future(endless())
    written = lambda: any(  # noqa: E731
        path.stat().st_size for path in (served.folder / "run").glob("upload-*")
    )
    until(written, within_s=10, what="the upload is on its way")
    call.cancel()
    more.set()
    with pytest.raises(grpc.FutureCancelledError):
        call.result()


def test_a_connection_that_breaks_in_the_middle_leaves_nothing(
    served: Fleet, fresh_name: str
) -> None:
    sent, broken = threading.Event(), threading.Event()

    def interrupted() -> Iterator[Part]:
        yield Part(header=header(fresh_name))
        yield Part(chunk=DATA)
        sent.set()
        broken.wait()

    with grpc.insecure_channel(served.address) as channel:
        call = Api(channel).datasets.UploadDataset.future(interrupted())
        assert sent.wait(10)
    broken.set()
    assert call.exception() is not None


def test_a_queued_upload_that_is_cancelled_goes_with_its_job(
    api: Api, busy: str, fresh_name: str
) -> None:
    job = api.upload(fresh_name, DATA)
    assert job.state == jobs_pb2.JOB_STATE_QUEUED
    answer = api.training.CancelJob(training_pb2.CancelJobRequest(id=job.id))
    assert answer.job.state == jobs_pb2.JOB_STATE_CANCELLED
    again = api.upload(fresh_name, DATA)  # the name is free at once
    api.training.CancelJob(training_pb2.CancelJobRequest(id=again.id))
    for job_id in (job.id, again.id):
        api.training.DeleteJob(training_pb2.DeleteJobRequest(id=job_id))
