"""Calling the API below the SDK, which would refuse some of what a test sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest
from convnest_api.v1 import (
    classification_pb2,
    classification_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    jobs_pb2,
    models_pb2_grpc,
    system_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from support.waiting import until

if TYPE_CHECKING:
    from google.protobuf.message import Message

FINAL = (
    jobs_pb2.JOB_STATE_SUCCEEDED,
    jobs_pb2.JOB_STATE_FAILED,
    jobs_pb2.JOB_STATE_CANCELLED,
)
TIMEOUT_S = 20.0
#: The shared server's limits: small enough to be passed in a test.
MAX_UPLOAD_BYTES = 64 * 2**20
MAX_MESSAGE_BYTES = 2**20


@dataclass(frozen=True)
class Refusal:
    """What a refused call tells."""

    code: grpc.StatusCode
    message: str
    reason: str
    fields: dict[str, str] = field(default_factory=dict)
    """Field path to what is wrong with it."""
    retry_after_s: float | None = None


class Api:
    """The stubs of every service over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.datasets = datasets_pb2_grpc.DatasetServiceStub(channel)
        self.training = training_pb2_grpc.TrainingServiceStub(channel)
        self.models = models_pb2_grpc.ModelServiceStub(channel)
        self.classification = classification_pb2_grpc.ClassificationServiceStub(channel)
        self.system = system_pb2_grpc.SystemServiceStub(channel)

    def raw(self, service: str, method: str) -> Callable[[bytes], object]:
        """A method called with bytes that may be no message of its."""
        call: Callable[..., object] = self.channel.unary_unary(
            f"/convnest_api.v1.{service}/{method}"
        )
        return lambda data: call(data, timeout=5)

    def job(self, job_id: str) -> jobs_pb2.Job:
        """The job as it is now."""
        return self.training.GetJob(training_pb2.GetJobRequest(id=job_id), timeout=TIMEOUT_S).job

    def ended(self, job_id: str, *, within_s: float = 30) -> jobs_pb2.Job:
        """The job, once it is final."""
        until(
            lambda: self.job(job_id).state in FINAL, within_s=within_s, what=f"end of job {job_id}"
        )
        return self.job(job_id)

    def upload(
        self,
        name: str,
        data: bytes,
        *,
        format: str = "npz",
        shape: jobs_pb2.ImageShape | None = None,
    ) -> jobs_pb2.Job:
        """Uploads a dataset's file; returns the ingest job."""
        header = datasets_pb2.UploadHeader(
            name=name, format=format, size_bytes=len(data), shape=shape
        )
        return self.datasets.UploadDataset(parts(header, data), timeout=TIMEOUT_S).job

    def classify(
        self, model: str, *images: classification_pb2.Image, top_k: int | None = None
    ) -> classification_pb2.ClassifyResponse:
        """Classifies by a model version."""
        request = classification_pb2.ClassifyRequest(model=model, images=images, top_k=top_k)
        return self.classification.Classify(request, timeout=TIMEOUT_S)


def parts(
    header: datasets_pb2.UploadHeader, data: bytes, *, chunk: int = 2**18
) -> Iterator[datasets_pb2.UploadDatasetRequest]:
    """An upload's messages."""
    yield datasets_pb2.UploadDatasetRequest(header=header)
    for start in range(0, len(data), chunk):
        yield datasets_pb2.UploadDatasetRequest(chunk=data[start : start + chunk])


def refusal(call: Callable[[], object]) -> Refusal:
    """How `call` was refused; it must have been, by us and with all that a refusal brings."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    found = read_refusal(caught.value)
    assert found.reason, f"{found.code}: {found.message} came without an ErrorInfo"
    assert found.message
    return found


def read_refusal(error: grpc.RpcError) -> Refusal:
    """What an error tells; its reason is empty where it brings no ErrorInfo of ours."""
    status = rpc_status.from_call(error)
    if status is None:
        return Refusal(error.code(), error.details() or "", "")
    info = error_details_pb2.ErrorInfo()
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for packed in status.details:
        for detail in (info, bad, retry):
            _unpack(packed, detail)
    assert info.domain == "convnest"
    return Refusal(
        error.code(),
        status.message,
        info.reason,
        {violation.field: violation.description for violation in bad.field_violations},
        retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )


def _unpack(packed: object, detail: Message) -> None:
    if packed.Is(detail.DESCRIPTOR):  # type: ignore[attr-defined]  # google.rpc has no types
        packed.Unpack(detail)  # type: ignore[attr-defined]  # as above
