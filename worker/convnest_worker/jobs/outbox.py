"""What an attempt has to tell the state Redis, in order, while that may be away.

Progress is worth telling only once, the latest; states of training, checkpoints and logs all are.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from convnest_store.errors import Unavailable
from convnest_store.jobs import JobStore, Json, Lease

#: Events of one batch; an outage of days keeps the latest of these batches.
_BATCH = 200
_BATCHES = 500

log = structlog.get_logger(__name__)


@dataclass
class _Events:
    events: list[tuple[str, Json]] = field(default_factory=list)


@dataclass(frozen=True)
class _Told:
    tell: Callable[[], None]


class Outbox:
    """Sends as far as the state Redis takes it; the rest waits here. Flushing raises LeaseLost."""

    def __init__(self, jobs: JobStore, lease: Lease) -> None:
        self._jobs, self._lease = jobs, lease
        self._waiting: deque[_Events | _Told] = deque(maxlen=_BATCHES)
        self._away = False

    def event(self, kind: str, data: Json) -> None:
        """An event of the job's stream."""
        last = self._waiting[-1] if self._waiting else None
        if not isinstance(last, _Events) or len(last.events) >= _BATCH:
            last = _Events()
            self._waiting.append(last)
        if kind == "progress":
            last.events[:] = [event for event in last.events if event[0] != "progress"]
        last.events.append((kind, data))

    def call(self, tell: Callable[[], None]) -> None:
        """Anything else, after all that came before it; it is called until it goes through."""
        self._waiting.append(_Told(tell))

    def flush_if_up(self) -> None:
        """Sends, unless the last try found the state Redis away: the next heartbeat tries again."""
        if not self._away:
            self.flush()

    def flush(self) -> bool:
        """Sends what waits; whether all of it went."""
        while self._waiting:
            first = self._waiting[0]
            try:
                if isinstance(first, _Events):
                    self._jobs.append_events(self._lease, first.events)
                else:
                    first.tell()
            except Unavailable as error:
                if not self._away:
                    log.warning("not told yet", error=str(error), job_id=self._lease.job.id)
                self._away = True
                return False
            self._waiting.popleft()
        self._away = False
        return True
