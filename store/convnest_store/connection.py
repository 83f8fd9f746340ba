"""Connections to Redis: one client per role, short timeouts, our own errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from convnest_store.errors import Unavailable

#: An answer takes well under a millisecond; a store that is away must be told within two seconds.
TIMEOUT_S = 1.5


def connect(url: str, *, decode: bool, timeout_s: float | None = TIMEOUT_S) -> redis.Redis:
    """A client for a `redis://`, `rediss://` or `unix://` URL; connects at its first command.

    decode: replies as `str` (records) or as `bytes` (the inference queue).
    timeout_s: of one reply; None for a connection that blocks on purpose.
    A command is never sent twice: scripts that change state are not all idempotent.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=decode,
        socket_timeout=timeout_s,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


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
