"""One line when something goes away and one when it is back, however often it is tried between."""

import time

import structlog


class OutageLog:
    """For a loop that tries again and again; used by one thread."""

    def __init__(self, log: structlog.stdlib.BoundLogger, what: str) -> None:
        self._log, self._what = log, what
        self._since: float | None = None

    def away(self, error: Exception) -> None:
        """It did not answer."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning(f"{self._what} away", error=str(error))

    def back(self) -> None:
        """It answered."""
        if self._since is not None:
            spent_s = round(time.monotonic() - self._since, 1)
            self._since = None
            self._log.info(f"{self._what} back", away_s=spent_s)
