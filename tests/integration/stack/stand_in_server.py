"""A server of its own process: gRPC health, and what the stack's contract asks of a server."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import (
    health,
    health_pb2,
    health_pb2_grpc,
)


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    parent_fd = int(os.environ["CONVNEST_PARENT_FD"])

    def watch_parent() -> None:
        os.read(parent_fd, 1)
        stop.set()

    threading.Thread(target=watch_parent, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    servicer = health.HealthServicer()
    for service in ("", "convnest.worker"):
        servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    listen = os.environ["CONVNEST_LISTEN"]
    port = server.add_insecure_port(listen)
    server.start()
    target = Path(os.environ["CONVNEST_ADDRESS_FILE"])
    aside = target.with_suffix(".new")
    aside.write_text(f"{listen.rpartition(':')[0]}:{port}")
    aside.replace(target)
    print(f"listening on {port}", file=sys.stderr)
    stop.wait()
    server.stop(0.2).wait()
    print("server stopped")


if __name__ == "__main__":
    main()
