"""What a Redis tells of itself."""

from dataclasses import dataclass
from typing import cast

import redis

from convnest_store.connection import unavailable_as_ours


@dataclass(frozen=True)
class RedisFacts:
    """Of one Redis server."""

    version: str
    used_memory_bytes: int


class RedisInfo:
    """Reads the facts of one role's Redis."""

    def __init__(self, client: redis.Redis, role: str) -> None:
        self._client, self._role = client, role

    def read(self) -> RedisFacts:
        """Raises Unavailable."""
        with unavailable_as_ours(self._role):
            info = cast(dict[str, str | int], self._client.info())
        return RedisFacts(str(info["redis_version"]), int(info["used_memory"]))

    def ping(self) -> None:
        """Raises Unavailable."""
        with unavailable_as_ours(self._role):
            self._client.ping()
