"""The real server and real workers as processes of a test, over a test's own Redis servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support.redis_server import RedisServer
from support.waiting import until

#: Short leases, so that a lost worker is noticed while a test waits.
QUICK = {
    "CONVNEST_LEASE_S": "2",
    "CONVNEST_BEAT_S": "0.2",
    "CONVNEST_REAP_S": "0.3",
    "CONVNEST_SERVING_LEASE_S": "1",
}


@dataclass
class Fleet:
    """A server and any number of workers that share two Redis servers and a blob directory."""

    folder: Path
    state: RedisServer
    queue: RedisServer
    extra: Mapping[str, str] = field(default_factory=dict)
    """Environment on top, for every process."""
    address: str = ""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_server(self, **extra: str) -> subprocess.Popen[bytes]:
        """Starts the server and waits until it is ready; sets `address`."""
        address_file = self.folder / "address"
        address_file.unlink(missing_ok=True)
        environment = {"CONVNEST_LISTEN": self.address or "127.0.0.1:0", **extra}
        environment["CONVNEST_ADDRESS_FILE"] = str(address_file)
        process = self._start("convnest_server", "server", environment)
        until(
            lambda: address_file.exists() or process.poll() is not None,
            within_s=20,
            what="server bound",
        )
        assert process.poll() is None, self.log("server")
        self.address = address_file.read_text("ascii")
        self.wait_until_serving("")
        return process

    def start_worker(self, name: str = "worker", **extra: str) -> subprocess.Popen[bytes]:
        """Starts a worker; wait for `convnest.worker` where its readiness matters."""
        environment = {"CONVNEST_WORKER_NAME": name, "OPENBLAS_NUM_THREADS": "1", **extra}
        return self._start("convnest_worker", name, environment)

    def wait_until_serving(self, service: str, *, within_s: float = 20) -> None:
        """Waits for the health of one service."""

        def serving() -> bool:
            with grpc.insecure_channel(self.address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                request = health_pb2.HealthCheckRequest(service=service)
                try:
                    answer = stub.Check(request, timeout=2)
                except grpc.RpcError:
                    return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        until(serving, within_s=within_s, what=f"health of {service or 'the server'}")

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def stop(self) -> None:
        """Ends every process that still runs: SIGTERM, then SIGKILL."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=12)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(
        self, module: str, name: str, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        runtime = self.folder / "run"
        runtime.mkdir(exist_ok=True)
        settings = {
            "CONVNEST_STATE_URL": self.state.url,
            "CONVNEST_QUEUE_URL": self.queue.url,
            "CONVNEST_BLOB_URL": str(self.folder / "blobs"),
            "CONVNEST_RUNTIME_DIR": str(runtime),
            **QUICK,
            **self.extra,
            **environment,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process
