"""One channel to one server, and the rules by which calls are made over it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import grpc

from convnest.errors import Cancelled
from convnest.rpc_errors import from_rpc_error

__all__ = ["CALL_TIMEOUT_S", "DEFAULT_ADDRESS", "Connection", "default_address"]

DEFAULT_ADDRESS: Final = "localhost:50051"
CALL_TIMEOUT_S: Final = 15.0
_CLOSE_TIMEOUT_S: Final = 1.0

# Calls that may be sent twice: they read, they set what they would set again, or they carry a
# request_id. The channel retries them, with jitter, while the server is away.
_RETRIED: Final = {
    "DatasetService": ("GetDataset", "ListDatasets", "SampleDataset", "ImportDataset"),
    "TrainingService": ("CreateTrainingJob", "GetJob", "ListJobs", "ListNetworks"),
    "ModelService": (
        "GetModel",
        "ListModels",
        "GetModelVersion",
        "ListModelVersions",
        "SetModelAlias",
    ),
    "ClassificationService": ("Classify",),
    "SystemService": ("GetStatus",),
}
_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": f"convnest_api.v1.{service}", "method": method}
                for service, methods in _RETRIED.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "backoffMultiplier": 2,
                "maxBackoff": "2s",
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_LOOPBACK: Final = ("localhost", "127.", "[::1]", "unix:")

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


def default_address() -> str:
    """`CONVNEST_ADDRESS`, or the address that `convnest up` listens on."""
    return os.environ.get("CONVNEST_ADDRESS") or DEFAULT_ADDRESS


class Connection:
    """A channel to the server at `address`. May be used from many threads at once."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
                ("grpc.enable_http_proxy", 0 if address.startswith(_LOOPBACK) else 1),
                ("grpc.max_receive_message_length", 64 << 20),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 2000),
            ],
        )
        self.is_closed = False

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> _Response:
        """Makes one call; raises a `ConvNestError` where it does not succeed."""
        with self.translated_errors():
            return method(request, timeout=timeout_s)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Within it, what gRPC raises becomes a `ConvNestError`."""
        if self.is_closed:
            raise Cancelled("this client is closed")
        try:
            yield
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.address) from error
        except ValueError as error:  # gRPC's way to say that the channel was closed meanwhile
            if self.is_closed:
                raise Cancelled("this client was closed during the call") from error
            raise

    def close(self) -> None:
        """Gives up calls that are under way and closes the channel."""
        self.is_closed = True
        # An exception out of a signal handler (Ctrl-C) that strikes inside gRPC can leave a call
        # that closing would wait for without end: https://github.com/grpc/grpc/issues/19973.
        closing = threading.Thread(target=self.channel.close, daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)
