"""The one place where errors become gRPC statuses."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc.aio import ServerInterceptor, ServicerContext

from convnest_server.errors import InternalError, InvalidRequest, Violation, to_status

# Requests and responses are whatever messages the method declares.
Context: TypeAlias = "ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_RETRY_MS = "300"
_WAITED_S = 0.5

log = structlog.get_logger(__name__)


class ErrorInterceptor(ServerInterceptor):
    """Ends calls that raise with the status their error stands for.

    An error that nobody foresaw becomes INTERNAL with an id; its text goes to the log alone.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method that will handle the call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method, serializer = handler_call_details.method, handler.response_serializer
        # Requests are decoded by the guarded call, for gRPC tells one it cannot decode as UNKNOWN.
        decoded = _Decoded(handler.request_deserializer)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _answering(method, handler.unary_unary, decoded.one),
                response_serializer=serializer,
            )
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                _answering(method, handler.stream_unary, decoded.each),
                response_serializer=serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(method, handler.unary_stream, decoded.one),
                response_serializer=serializer,
            )
        return handler


class _Decoded:
    """Requests from their bytes."""

    def __init__(self, deserialize: Callable[[bytes], Any] | None) -> None:
        self._deserialize = deserialize or bytes

    def one(self, data: bytes) -> Any:
        try:
            return self._deserialize(data)
        except DecodeError as error:
            message = f"{len(data):,} bytes that are not the message this method takes"
            raise InvalidRequest([Violation("", message)]) from error

    async def each(self, parts: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in parts:
            yield self.one(data)


def _answering(
    method: str, call: Callable[..., Any], decoded: Callable[[Any], Any]
) -> Callable[..., Any]:
    async def guarded(request: Any, context: Context) -> Any:
        began = time.monotonic()
        try:
            return await call(decoded(request), context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:  # noqa: BLE001 (the edge of the process)
            await _abort(method, error, context, began)

    return guarded


def _streaming(
    method: str, call: Callable[..., Any], decoded: Callable[[Any], Any]
) -> Callable[..., Any]:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
        began = time.monotonic()
        try:
            async for response in call(decoded(request), context):
                yield response
        except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 (the edge of the process)
            await _abort(method, error, context, began)

    return guarded


async def _abort(method: str, error: Exception, context: Context, began: float) -> NoReturn:
    found = to_status(error)
    if found is None:
        error_id = secrets.token_hex(6)
        log.error("unforeseen error", method=method, error_id=error_id, exc_info=error)
        found = to_status(InternalError(error_id))
        assert found
    code, status = found
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString())
    ]
    if code is grpc.StatusCode.UNAVAILABLE:
        trailers.append(("grpc-retry-pushback-ms", _pushback(time.monotonic() - began)))
    await context.abort(code, status.message, tuple(trailers))


def _pushback(spent_s: float) -> str:
    """When a client that retries may do so, in ms: soon, or never where it has waited already.

    With a client's five attempts, a Redis that starts again goes unnoticed, and one that is away
    is told within two seconds. (gRFC A6, "pushback".)
    """
    return _RETRY_MS if spent_s < _WAITED_S else "-1"
