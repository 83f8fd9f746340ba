"""`python -m convnest_server.probe [SERVICE]`: whether the server on this machine is ready.

The exit code tells: 0 for ready. For health checks of containers and the like. Without a SERVICE
(as in `convnest.worker`) it asks about the server as a whole: both Redis answer.
"""

import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from convnest_server.settings import ServerSettings

_TIMEOUT_S = 3.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}  # noqa: S104 (not bound)


def local_address(listen: str) -> str:
    """Where a server that listens on `listen` is reached from its own machine."""
    host, _, port = listen.rpartition(":")
    return f"{_LOOPBACK.get(host, host)}:{port}"


def ask(address: str, service: str) -> str:
    """What the server says of a service, as in `SERVING`; or why it says nothing."""
    # A proxy of the environment is for the world outside, never for our own server.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return f"no answer: {error.code().name}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(argv: Sequence[str]) -> int:
    """Says what the server says; returns the exit code."""
    status = ask(local_address(ServerSettings().listen), argv[0] if argv else "")
    print(status)
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
