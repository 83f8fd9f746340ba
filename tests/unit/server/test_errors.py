"""The one table from errors to statuses: every error has its line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from convnest_core import CoreError, ShapeError, SpecError
from convnest_server import errors
from convnest_server.errors import ApiError, InvalidRequest, Overloaded, Violation, to_status
from convnest_store import errors as store
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    for kind in root.__subclasses__():
        yield kind
        yield from family(kind)


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, store.InvalidInput):
        return kind("field", "message")
    if issubclass(kind, InvalidRequest):
        return kind([Violation("field", "message")])
    if issubclass(kind, Overloaded):
        return kind("message", retry_after_s=1.5)
    return kind("message")


def detail(status: status_pb2.Status, kind: type) -> object:
    found = kind()
    for packed in status.details:
        if packed.Is(found.DESCRIPTOR):
            packed.Unpack(found)
            return found
    return None


@pytest.mark.parametrize("root", [ApiError, store.StoreError, CoreError])
def test_every_error_has_a_status_and_a_reason_of_its_own(root: type[Exception]) -> None:
    reasons: dict[str, str] = {}
    kinds = list(family(root))
    assert kinds
    for kind in kinds:
        found = to_status(made(kind))
        assert found is not None, kind
        code, status = found
        assert code not in (StatusCode.OK, StatusCode.UNKNOWN)
        assert status.code == code.value[0]
        assert "message" in status.message
        info = detail(status, error_details_pb2.ErrorInfo)
        assert isinstance(info, error_details_pb2.ErrorInfo)
        assert (info.domain, bool(info.reason)) == (errors.DOMAIN, True)
        if root is not CoreError:
            assert reasons.setdefault(info.reason, kind.__name__) == kind.__name__
        is_internal = code is StatusCode.INTERNAL
        assert is_internal == (kind is errors.InternalError)


@pytest.mark.parametrize("error", [ValueError("secret"), OSError("secret"), KeyError("secret")])
def test_an_error_that_nobody_foresaw_is_not_in_the_table(error: Exception) -> None:
    assert to_status(error) is None


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (InvalidRequest([Violation("a", "x"), Violation("b.c", "y")]), {"a": "x", "b.c": "y"}),
        (store.InvalidInput("name", "no"), {"name": "no"}),
        (
            SpecError("no", path="layers.3.conv", field="stride"),
            {"spec.network.layers.3.conv.stride": "no"},
        ),
        (ShapeError("no", path="layers.3"), None),
        (store.NotFound("no"), None),
    ],
)
def test_fields_at_fault_are_told_as_bad_request(
    error: Exception, fields: dict[str, str] | None
) -> None:
    found = to_status(error)
    assert found
    bad = detail(found[1], error_details_pb2.BadRequest)
    if fields is None:
        assert bad is None
    else:
        assert isinstance(bad, error_details_pb2.BadRequest)
        assert {v.field: v.description for v in bad.field_violations} == fields


def test_a_full_queue_says_when_to_come_again() -> None:
    found = to_status(Overloaded("full", retry_after_s=1.5))
    assert found
    code, status = found
    retry = detail(status, error_details_pb2.RetryInfo)
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_a_status_fits_the_trailers_that_a_client_takes() -> None:
    long = [Violation("f" * 1000, "ä" * 10_000) for _ in range(1000)]
    found = to_status(InvalidRequest(long))
    assert found
    _, status = found
    # Base64 in a header, beside the percent-encoded message: gRPC takes 8 KiB of them by default,
    # and ASCII messages are what we write.
    bad = detail(status, error_details_pb2.BadRequest)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert len(bad.field_violations) == 20
    assert len(status.message) <= 1000
