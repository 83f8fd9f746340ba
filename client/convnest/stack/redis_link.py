"""Asking a Redis server how it is, whoever started it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import StackError

_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class RedisFacts:
    """What a Redis server says about itself."""

    version: str
    append_only: bool
    max_memory_policy: str


def answers(url: str) -> bool:
    """Whether the server takes commands now; False also while it still loads its file."""
    redis = _redis()
    try:
        with redis.Redis.from_url(url, **_no_patience()) as connection:
            return bool(connection.ping())
    except (redis.RedisError, OSError):
        return False


def ask(url: str) -> RedisFacts:
    """The facts of the server at `url`; StackError says why it does not answer."""
    redis = _redis()
    try:
        with redis.Redis.from_url(url, **_no_patience()) as connection:
            info = connection.info()
    except (redis.RedisError, OSError, ValueError) as error:
        raise StackError(f"Redis at {without_password(url)} does not answer: {error}") from error
    return RedisFacts(
        version=str(info.get("redis_version", "")),
        append_only=bool(info.get("aof_enabled", 0)),
        max_memory_policy=str(info.get("maxmemory_policy", "")),
    )


def without_password(url: str) -> str:
    """The URL as it may be shown: `redis://:secret@host` becomes `redis://host`."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url


def _no_patience() -> dict[str, Any]:  # Any: keyword arguments of redis-py
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }


def _redis() -> Any:  # Any: the module, which only the extras bring
    try:
        import redis
    except ImportError as error:
        raise StackError(
            "the package redis is not installed: pip install 'convnest[all]'"
        ) from error
    return redis
