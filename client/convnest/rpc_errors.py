"""From a gRPC status with `google.rpc` details to the exception that says the same."""

from __future__ import annotations

from typing import Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from convnest.errors import (
    AlreadyExists,
    Cancelled,
    ConvNestError,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)

ERROR_DOMAIN: Final = "convnest"

_Detail = TypeVar("_Detail", bound=Message)

ERROR_TYPES: Final[dict[grpc.StatusCode, type[ConvNestError]]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNKNOWN: Internal,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: ConvNestError,
    grpc.StatusCode.UNAUTHENTICATED: ConvNestError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: Internal,
}


def from_rpc_error(error: grpc.RpcError, address: str) -> ConvNestError:
    """The exception of this tree for `error`, which a call to the server at `address` raised."""
    error_type = ERROR_TYPES.get(error.code(), ConvNestError)
    status = _rich_status(error)
    message = _message(error, address, told_by_server=bool(status.details))
    info = _detail(status, error_details_pb2.ErrorInfo)
    reason = info.reason if info.domain == ERROR_DOMAIN else ""

    if error_type is InvalidArgument:
        found = _detail(status, error_details_pb2.BadRequest).field_violations
        violations = [FieldViolation(one.field, one.description) for one in found]
        return InvalidArgument(message, reason=reason, violations=violations)
    if error_type is ResourceExhausted:
        retry = _detail(status, error_details_pb2.RetryInfo)
        after_s = retry.retry_delay.ToTimedelta().total_seconds()
        has_hint = retry.HasField("retry_delay")
        return ResourceExhausted(
            message, reason=reason, retry_after_s=after_s if has_hint else None
        )
    if error_type is Internal:
        return Internal(message, reason=reason, error_id=info.metadata.get("error_id", ""))
    return error_type(message, reason=reason)


def _rich_status(error: grpc.RpcError) -> status_pb2.Status:
    """What the server said beyond code and text; empty where it said no more."""
    try:
        return rpc_status.from_call(error) or status_pb2.Status()
    except (ValueError, DecodeError):  # not ours, or mangled on its way
        return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[_Detail]) -> _Detail:
    detail = kind()
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            packed.Unpack(detail)
            break
    return detail


def _message(error: grpc.RpcError, address: str, *, told_by_server: bool) -> str:
    text = " ".join((error.details() or "").split())
    if told_by_server:
        return text
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        cause = text.rsplit(": ", 1)[-1]  # the rest is gRPC's way there
        return f"no server answers at {address} ({cause})"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer from {address} in the time allowed"
    return text or error.code().name
