"""Fixtures for every test that needs a real Redis."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from support.processes import Fleet
from support.redis_server import RedisServer


class RedisFactory(Protocol):
    """Starts a Redis server; it ends with the test."""

    def __call__(self, *, durable: bool = False) -> RedisServer: ...


@pytest.fixture
def redis_factory() -> Iterator[RedisFactory]:
    """Starts Redis servers, in folders whose paths are short enough for a socket."""
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


@pytest.fixture
def fleet(tmp_path: Path, state_redis: RedisServer, queue_redis: RedisServer) -> Iterator[Fleet]:
    """A server and workers to start, over Redis servers of their own."""
    fleet = Fleet(tmp_path, state_redis, queue_redis)
    yield fleet
    fleet.stop()
