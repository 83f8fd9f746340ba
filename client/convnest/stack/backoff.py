"""How long to wait before a part is started again."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Exponential delays with jitter; a part that lived a while starts over with the shortest."""

    def __init__(
        self,
        *,
        first_s: float = 0.2,
        longest_s: float = 15.0,
        settled_after_s: float = 30.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._settled_after_s = settled_after_s
        self._uniform = uniform
        self._deaths = 0

    def delay_s(self, lived_s: float) -> float:
        """The delay after a death of a part that lived `lived_s` seconds."""
        if lived_s >= self._settled_after_s:
            self._deaths = 0
        delay_s = min(self._first_s * 2.0 ** min(self._deaths, 32), self._longest_s)
        self._deaths += 1
        return delay_s * self._uniform(0.75, 1.25)
