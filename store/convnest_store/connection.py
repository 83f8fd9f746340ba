"""Connections to Redis: one client per role, short timeouts, our own errors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from convnest_store.errors import Unavailable

#: An answer takes well under a millisecond; a store that is away must be told within two seconds.
TIMEOUT_S = 1.2
#: After one that was not answered in time: how long nobody else tries on a new connection.
_SPARED_S = 0.5


def connect(url: str, *, decode: bool, timeout_s: float | None = TIMEOUT_S) -> redis.Redis:
    """A client for a `redis://`, `rediss://` or `unix://` URL; connects at its first command.

    decode: replies as `str` (records) or as `bytes` (the inference queue).
    timeout_s: of one reply; None for a connection that blocks on purpose.
    A command is never sent twice: scripts that change state are not all idempotent.
    """
    client = redis.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=timeout_s,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    pool = client.connection_pool
    pool.connection_class = _sparing(pool.connection_class)
    return client


def _sparing(kind: type[Connection]) -> type[Connection]:
    """Connections of one client that spare the next caller the wait for a Redis that is silent.

    Otherwise the callers of a pool of threads would each wait for all before them.
    """
    spared_until = 0.0

    class Sparing(kind):  # type: ignore[misc, valid-type]  # a base known only at run time
        def connect(self) -> None:
            if time.monotonic() < spared_until:
                raise redis.TimeoutError("it did not answer a moment ago")
            super().connect()

        def read_response(self, *args: Any, **kwargs: Any) -> Any:  # Any: as redis-py has it
            nonlocal spared_until
            try:
                return super().read_response(*args, **kwargs)
            except redis.TimeoutError:
                spared_until = time.monotonic() + _SPARED_S
                raise

    return Sparing


@contextmanager
def unavailable_as_ours(role: str) -> Iterator[None]:
    """Turns Redis' own ways of being away into Unavailable; `role` is "state" or "queue"."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        # BusyLoadingError is a ConnectionError: Redis reads its file and will soon answer.
        raise Unavailable(f"the {role} Redis does not answer: {error}") from error
    except redis.ResponseError as error:
        if str(error).startswith(("MISCONF", "READONLY", "OOM", "LOADING")):
            raise Unavailable(f"the {role} Redis refuses writes: {error}") from error
        raise
