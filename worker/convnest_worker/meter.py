"""Images a second and the time that is left."""

import time

_PROGRESS_EVERY_S = 0.5


class Meter:
    """Over what this process has done of `total` batches, from batch `position` on."""

    def __init__(self, position: int, total: int) -> None:
        self._first, self._total = position, total
        self._started = self._told = time.monotonic()
        self._images = 0

    def count(self, images: int) -> None:
        """So many more images were trained on."""
        self._images += images

    def due(self) -> bool:
        """Whether to tell of the progress; at most twice a second."""
        now = time.monotonic()
        if now - self._told < _PROGRESS_EVERY_S:
            return False
        self._told = now
        return True

    def read(self, position: int) -> tuple[float, float]:
        """(images a second, seconds left)."""
        spent = max(time.monotonic() - self._started, 1e-9)
        done = max(position - self._first, 1)
        return self._images / spent, (self._total - position) * spent / done
