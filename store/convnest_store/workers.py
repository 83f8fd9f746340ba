"""Which workers there are: each tells every second, and is forgotten when it stops telling."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import redis

from convnest_store.connection import unavailable_as_ours
from convnest_store.scripts import key

_FORGOTTEN_AFTER_MS = 5_000


@dataclass(frozen=True)
class ModelPresence:
    """A model version in a worker's memory."""

    model: str
    version: int
    state: str
    """LOADING, READY or UNAVAILABLE."""
    reason: str
    resident_bytes: int
    images: int


@dataclass(frozen=True)
class WorkerPresence:
    """What a worker tells of itself."""

    name: str
    job_id: str
    models: tuple[ModelPresence, ...]
    fingerprint: dict[str, str]
    uptime_s: float
    preparing: str = ""
    """What it does before it takes work."""
    warning: str = ""
    """What it cannot do as well as it should."""


class WorkerRoll:
    """The workers' signs of life, on the queue Redis. All methods may raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def tell(self, presence: WorkerPresence) -> None:
        """This worker is there."""
        now_ms = self._now_ms()
        with unavailable_as_ours("queue"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.zadd(key("workers"), {presence.name: now_ms})
            pipeline.zremrangebyscore(key("workers"), "-inf", now_ms - 10 * _FORGOTTEN_AFTER_MS)
            pipeline.set(
                key("worker", presence.name),
                json.dumps(asdict(presence)),
                px=_FORGOTTEN_AFTER_MS,
            )
            pipeline.execute()

    def leave(self, name: str) -> None:
        """This worker stops."""
        with unavailable_as_ours("queue"):
            self._client.delete(key("worker", name))
            self._client.zrem(key("workers"), name)

    def anyone(self) -> bool:
        """Whether a worker gave a sign of life lately."""
        with unavailable_as_ours("queue"):
            since = self._now_ms() - _FORGOTTEN_AFTER_MS
            return bool(self._client.zcount(key("workers"), since, "+inf"))

    def present(self) -> Sequence[WorkerPresence]:
        """Workers that gave a sign of life lately, by name."""
        with unavailable_as_ours("queue"):
            names = [
                _text(name) for name in cast(_Names, self._client.zrange(key("workers"), 0, -1))
            ]
            if not names:
                return []
            told = self._client.mget([key("worker", name) for name in sorted(names)])
        return [_read(text) for text in told if text is not None]

    def _now_ms(self) -> int:
        with unavailable_as_ours("queue"):
            seconds, microseconds = self._client.time()
        return seconds * 1000 + microseconds // 1000


_Names = list[str | bytes]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _read(text: str | bytes) -> WorkerPresence:
    data = json.loads(text)
    data["models"] = tuple(ModelPresence(**model) for model in data["models"])
    return WorkerPresence(**data)
