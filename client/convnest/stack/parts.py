"""The parts of ConvNest: which program each is, and what it is told by its environment."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import address, health, redis_link
from .options import StackOptions
from .part import Heard, Part
from .redis_server import RedisProgram, find_redis, queue_command, socket_url, state_command
from .tether import tethered

STATE = "redis-state"
QUEUE = "redis-queue"
SERVER = "server"


@dataclass(frozen=True)
class Programs:
    """The commands of the parts that are ours."""

    server: Sequence[str] = (sys.executable, "-m", "convnest_server")
    worker: Sequence[str] = (sys.executable, "-m", "convnest_worker")


@dataclass(frozen=True)
class Place:
    """Where one stack lives: its directories, and the descriptors that its processes inherit."""

    options: StackOptions
    runtime_dir: Path
    lock_fd: int
    parent_fd: int

    @property
    def state_url(self) -> str:
        """The Redis of the records."""
        return self.options.state_url or socket_url(self.runtime_dir / "state.sock")

    @property
    def queue_url(self) -> str:
        """The Redis of the queues."""
        return self.options.queue_url or socket_url(self.runtime_dir / "queue.sock")

    @property
    def address_file(self) -> Path:
        """Where the server writes its address when it chose the port itself."""
        return self.runtime_dir / "address"

    def server_address(self) -> str | None:
        """Where the server is reached; None before it chose its port."""
        port = self.options.port or address.read_port(self.address_file)
        return address.reachable(self.options.host, port) if port else None


def redis_parts(place: Place) -> list[Part]:
    """The Redis servers to start: those whose role has no URL. The state's comes first."""
    options = place.options
    if options.state_url and options.queue_url:
        return []
    program = find_redis()
    parts = []
    if not options.state_url:
        parts.append(_state_part(place, program))
    if not options.queue_url:
        socket_path = place.runtime_dir / "queue.sock"
        command = queue_command(program, folder=place.runtime_dir, socket=socket_path)
        url = socket_url(socket_path)
        parts.append(Part(QUEUE, tethered(command), ready=lambda: redis_link.answers(url)))
    return parts


def server_part(place: Place, program: Sequence[str]) -> Part:
    """The gRPC server; ready when its health service says so."""
    port = place.options.port or address.read_port(place.address_file) or 0
    env = {
        **_environment(place, SERVER),
        "CONVNEST_LISTEN": address.join(place.options.host, port),
        "CONVNEST_ADDRESS_FILE": str(place.address_file),
    }
    return Part(
        SERVER,
        program,
        env=env,
        ready=lambda: _is_serving(place, health.SERVER),
        inherited=(place.parent_fd,),
    )


def worker_part(place: Place, program: Sequence[str], *, number: int) -> Part:
    """One worker; ready when the server has seen a sign of life of a worker."""
    name = f"worker-{number}"
    env = {
        **_environment(place, name),
        # Unique among all workers that may share this queue, from other machines too.
        "CONVNEST_WORKER_NAME": f"{socket.gethostname()}-{os.getpid()}-{name}",
        # Our processes are the parallelism; a thread pool in each would fight over the cores.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return Part(
        name,
        program,
        env=env,
        ready=lambda: _is_serving(place, health.WORKER),
        inherited=(place.parent_fd,),
        hear=heard_of_kernels,
    )


def heard_of_kernels(line: str) -> Heard | None:
    """What a worker's log tells of its kernels, while it compiles them and takes no jobs."""
    try:
        said = json.loads(line)
        match said["event"]:
            case "compiling kernels":
                return Heard("progress", f"compiling kernels {said['done']}/{said['total']}")
            case "kernels compiled":
                return Heard("progress", f"{said['total']} kernels compiled")
            case "NumPy's kernels compute":
                return Heard("warning", f"NumPy's kernels compute: {said['reason']}")
    except (ValueError, TypeError, LookupError):  # a line of another kind
        pass
    return None


def _state_part(place: Place, program: RedisProgram) -> Part:
    folder = place.options.data_dir / "redis-state"
    folder.mkdir(mode=0o700, exist_ok=True)
    socket_path = place.runtime_dir / "state.sock"
    command = state_command(program, folder=folder, socket=socket_path)
    url = socket_url(socket_path)
    return Part(
        STATE,
        tethered(command),
        ready=lambda: redis_link.answers(url),
        inherited=(place.lock_fd,),
    )


def _environment(place: Place, name: str) -> Mapping[str, str]:
    scratch = place.runtime_dir / name
    scratch.mkdir(mode=0o700, exist_ok=True)
    return {
        "CONVNEST_STATE_URL": place.state_url,
        "CONVNEST_QUEUE_URL": place.queue_url,
        "CONVNEST_BLOB_URL": place.options.blob_url or str(place.options.data_dir / "blobs"),
        "CONVNEST_RUNTIME_DIR": str(scratch),
        "CONVNEST_PARENT_FD": str(place.parent_fd),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        # A folder named like one of our packages, where the user stands, must not shadow it.
        "PYTHONSAFEPATH": "1",
    }


def _is_serving(place: Place, service: str) -> bool:
    server = place.server_address()
    return server is not None and health.is_serving(server, service)
