"""Whether a ConvNest server, or a service of it, says that it is ready (gRPC health protocol)."""

from __future__ import annotations

import socket

from .errors import StackError

SERVER = ""
WORKER = "convnest.worker"


def is_serving(address: str, service: str, *, timeout_s: float = 2.0) -> bool:
    """Ask the server at `host:port`; False when it says no, or nothing answers in time."""
    try:
        import grpc
        from grpc_health.v1 import (
            health_pb2,
            health_pb2_grpc,
        )
    except ImportError as error:
        raise StackError(
            "the package grpcio-health-checking is not installed: pip install 'convnest[all]'"
        ) from error
    if not accepts_connections(address, timeout_s=timeout_s):
        return False
    # A proxy of the environment is for the world outside, never for our own server.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout_s
            )
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def accepts_connections(address: str, *, timeout_s: float = 2.0) -> bool:
    """Whether anything at all listens on `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s):
            return True
    except OSError:
        return False
