from __future__ import annotations

import convnest
import grpc
import pytest
from convnest import rpc_errors
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

ADDRESS = "localhost:50051"


class FakeRpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        self._code = code
        self._message = message
        self._details = details
        self.garbled = False

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:  # type: ignore[override]  # bytes, for -bin
        if self.garbled:
            return (("grpc-status-details-bin", b"\xff\xff\xff"),)
        if not self._details:
            return ()
        status = status_pb2.Status(code=code_pb2.Code.Value(self._code.name), message=self._message)
        for detail in self._details:
            status.details.add().Pack(detail)
        return (("grpc-status-details-bin", status.SerializeToString()),)


def reason(name: str, **metadata: str) -> Message:
    info: Message = error_details_pb2.ErrorInfo(reason=name, domain="convnest", metadata=metadata)
    return info


def test_every_status_code_has_its_exception() -> None:
    assert set(rpc_errors.ERROR_TYPES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("CANCELLED", convnest.Cancelled),
        ("UNKNOWN", convnest.Internal),
        ("INVALID_ARGUMENT", convnest.InvalidArgument),
        ("DEADLINE_EXCEEDED", convnest.DeadlineExceeded),
        ("NOT_FOUND", convnest.NotFound),
        ("ALREADY_EXISTS", convnest.AlreadyExists),
        ("PERMISSION_DENIED", convnest.ConvNestError),
        ("UNAUTHENTICATED", convnest.ConvNestError),
        ("RESOURCE_EXHAUSTED", convnest.ResourceExhausted),
        ("FAILED_PRECONDITION", convnest.FailedPrecondition),
        ("ABORTED", convnest.FailedPrecondition),
        ("OUT_OF_RANGE", convnest.InvalidArgument),
        ("UNIMPLEMENTED", convnest.Unimplemented),
        ("INTERNAL", convnest.Internal),
        ("UNAVAILABLE", convnest.Unavailable),
        ("DATA_LOSS", convnest.Internal),
    ],
)
def test_a_code_becomes_its_exception_with_reason_and_message(
    code: str, expected: type[convnest.ConvNestError]
) -> None:
    error = FakeRpcError(grpc.StatusCode[code], "what went wrong", reason("SOME_REASON"))
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert type(found) is expected
    assert str(found) == "what went wrong"
    assert found.reason == "SOME_REASON"


def test_violations_name_their_fields() -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="spec.epochs", description="must be ≥ 1, got 0")
    bad.field_violations.add(field="spec.loss", description="unknown: hinge")
    error = FakeRpcError(grpc.StatusCode.INVALID_ARGUMENT, "2 fields", reason("BAD_SPEC"), bad)
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert isinstance(found, convnest.InvalidArgument)
    assert found.violations == (
        convnest.FieldViolation("spec.epochs", "must be ≥ 1, got 0"),
        convnest.FieldViolation("spec.loss", "unknown: hinge"),
    )
    assert str(found) == "spec.epochs: must be ≥ 1, got 0; spec.loss: unknown: hinge"
    assert found.message == "2 fields"


def test_the_retry_hint_is_read() -> None:
    hint = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    error = FakeRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason("QUEUE_FULL"), hint)
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert isinstance(found, convnest.ResourceExhausted)
    assert found.retry_after_s == 1.5


def test_without_a_retry_hint_there_is_none() -> None:
    error = FakeRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert isinstance(found, convnest.ResourceExhausted)
    assert found.retry_after_s is None


def test_the_id_of_an_internal_error_is_read() -> None:
    error = FakeRpcError(grpc.StatusCode.INTERNAL, "a fault", reason("INTERNAL", error_id="e-17"))
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert isinstance(found, convnest.Internal)
    assert found.error_id == "e-17"


def test_a_reason_of_another_domain_is_not_ours() -> None:
    info = error_details_pb2.ErrorInfo(reason="QUOTA", domain="proxy.example")
    error = FakeRpcError(grpc.StatusCode.NOT_FOUND, "no", info)
    assert rpc_errors.from_rpc_error(error, ADDRESS).reason == ""


def test_garbled_details_leave_code_and_message() -> None:
    error = FakeRpcError(grpc.StatusCode.NOT_FOUND, "no such dataset")
    error.garbled = True
    found = rpc_errors.from_rpc_error(error, ADDRESS)
    assert type(found) is convnest.NotFound
    assert str(found) == "no such dataset"


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
            "Failed to connect to remote host: Connection refused",
            "Connection refused",
        ),
        ("DNS resolution failed for nowhere:1: Domain name not found", "Domain name not found"),
        ("Socket closed", "Socket closed"),
    ],
)
def test_an_unreachable_server_is_told_in_plain_words(details: str, cause: str) -> None:
    found = rpc_errors.from_rpc_error(FakeRpcError(grpc.StatusCode.UNAVAILABLE, details), ADDRESS)
    assert str(found) == f"no server answers at {ADDRESS} ({cause})"


def test_a_message_is_one_line() -> None:
    error = FakeRpcError(grpc.StatusCode.INTERNAL, "one\n two\n")
    assert str(rpc_errors.from_rpc_error(error, ADDRESS)) == "one two"
