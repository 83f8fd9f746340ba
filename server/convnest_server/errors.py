"""What a call can be refused with, and the one table from our errors to gRPC's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convnest_core import CoreError, SpecError
from convnest_store import errors as store
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

DOMAIN = "convnest"
#: A status travels as HTTP/2 trailers, of which a client takes 8 KiB.
_MAX_MESSAGE = 1000
_MAX_VIOLATIONS = 20


class ApiError(Exception):
    """Refuses a call with a status of its own."""

    code = StatusCode.UNKNOWN
    reason = "UNKNOWN"


@dataclass(frozen=True)
class Violation:
    """One field of a request that is not as it must be."""

    field: str
    message: str


class InvalidRequest(ApiError):
    """Names every field at fault at once."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_INPUT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.message}" for v in violations))
        self.violations = violations


class Overloaded(ApiError):
    """A bounded queue is full."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooLarge(ApiError):
    """More bytes than are taken."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_LARGE"


class ModelUnavailable(ApiError):
    """No worker can answer for the model now."""

    code = StatusCode.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"


class DeadlinePassed(ApiError):
    """The answer did not come in the caller's time."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class PoisonImage(ApiError):
    """The image brings the process down that works on it."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "POISON_IMAGE"


class InternalError(ApiError):
    """A fault of ours, with an id to look for in the logs."""

    code = StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, error_id: str) -> None:
        super().__init__(f"internal error {error_id}; the server's log has more")
        self.error_id = error_id


_STORE_CODES: Mapping[type[store.StoreError], StatusCode] = {
    store.InvalidInput: StatusCode.INVALID_ARGUMENT,
    store.NotFound: StatusCode.NOT_FOUND,
    store.AlreadyExists: StatusCode.ALREADY_EXISTS,
    store.FailedPrecondition: StatusCode.FAILED_PRECONDITION,
    store.QuotaExceeded: StatusCode.RESOURCE_EXHAUSTED,
    store.Unavailable: StatusCode.UNAVAILABLE,
    store.LeaseLost: StatusCode.ABORTED,
    store.BlobMissing: StatusCode.DATA_LOSS,
    store.BlobCorrupt: StatusCode.DATA_LOSS,
}


def to_status(error: Exception) -> tuple[StatusCode, status_pb2.Status] | None:
    """The status that a caller sees, with google.rpc details; None for an error not foreseen."""
    if isinstance(error, ApiError):
        code, reason = error.code, error.reason
    elif isinstance(error, store.StoreError):
        matches = [kind for kind in type(error).__mro__ if kind in _STORE_CODES]
        if not matches:
            return None
        code, reason = _STORE_CODES[matches[0]], error.reason
    elif isinstance(error, CoreError):
        code, reason = StatusCode.INVALID_ARGUMENT, "INVALID_NETWORK"
    else:
        return None
    metadata = {"error_id": error.error_id} if isinstance(error, InternalError) else {}
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    details = [_packed(info)]
    if violations := _violations(error):
        details.append(
            _packed(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=_short(v.field, 200), description=_short(v.message, 300)
                        )
                        for v in violations[:_MAX_VIOLATIONS]
                    ]
                )
            )
        )
    if isinstance(error, Overloaded):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    number: int = code.value[0]
    message = _short(str(error), _MAX_MESSAGE)
    return code, status_pb2.Status(code=number, message=message, details=details)


def _violations(error: Exception) -> Sequence[Violation]:
    match error:
        case InvalidRequest():
            return error.violations
        case store.InvalidInput():
            return [Violation(error.field, error.message)]
        case SpecError():
            return [Violation(f"spec.network.{error.path}", error.message)]
        case _:
            return []


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _packed(
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
