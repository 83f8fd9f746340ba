"""Calls that block, off the event loop: a bounded pool of threads behind a bounded queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from convnest_server.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Runs calls to Redis and to blob storage."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="blocking")
        self._limit = threads + waiting
        self._running = 0

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result. Raises what it raises, and Overloaded where too many wait."""
        if self._running >= self._limit:
            raise Overloaded("the server is busy", retry_after_s=1.0)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: call(*args, **kwargs)
            )
        finally:
            self._running -= 1

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)
