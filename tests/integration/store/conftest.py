"""The stores over one real Redis for the whole session; every test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from convnest_store.catalog import DatasetCatalog
from convnest_store.connection import connect
from convnest_store.events import EventReader
from convnest_store.inference import InferenceQueue
from convnest_store.registry import ModelRegistry
from convnest_store.workers import WorkerRoll
from support.desk import Desk
from support.redis_server import RedisServer


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    """One Redis."""
    with TemporaryDirectory(prefix="cn-") as folder:
        server = RedisServer(Path(folder), durable=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """For records."""
    with connect(server.url, decode=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def raw(server: RedisServer, client: redis.Redis) -> Iterator[redis.Redis]:
    """For the inference queue."""
    with connect(server.url, decode=False) as raw:
        yield raw


@pytest.fixture
def desk(client: redis.Redis) -> Desk:
    """The job table, and workers to take from it."""
    return Desk(client)


@pytest.fixture
def events(client: redis.Redis) -> EventReader:
    """Streams."""
    return EventReader(client)


@pytest.fixture
def models(client: redis.Redis) -> ModelRegistry:
    """Models."""
    return ModelRegistry(client)


@pytest.fixture
def datasets(client: redis.Redis) -> DatasetCatalog:
    """Datasets."""
    return DatasetCatalog(client)


@pytest.fixture
def queue(raw: redis.Redis) -> InferenceQueue:
    """Waiting requests."""
    return InferenceQueue(raw)


@pytest.fixture
def roll(raw: redis.Redis) -> WorkerRoll:
    """Who is there."""
    return WorkerRoll(raw)
