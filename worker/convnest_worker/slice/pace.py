"""Progress of work that is a simple count, told at most twice a second."""

import time

from convnest_worker.slice.context import Context

_EVERY_S = 0.5


class Pace:
    """Tells how far `phase` is, and gives way where that is wished."""

    def __init__(self, context: Context, phase: str) -> None:
        self._context, self._phase = context, phase
        self._told = 0.0

    def at(self, done: int, total: int) -> None:
        """Called as often as one likes; raises Stopped."""
        self._context.give_way()
        now = time.monotonic()
        if now - self._told >= _EVERY_S or done == total:
            self._told = now
            data = {"phase": self._phase, "done": done, "total": total}
            self._context.channel.event("progress", data)
