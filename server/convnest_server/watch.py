"""Live event streams: one thread waits on Redis for all watchers, each reads what is its own."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator

import structlog
from convnest_process.outage import OutageLog
from convnest_store.errors import Unavailable
from convnest_store.events import Event, EventReader
from convnest_store.jobs import JobStore
from convnest_store.states import JobState

from convnest_server.blocking import Blocking

_WAIT_S = 0.25
_PAGE = 500
#: A watcher looks by itself so often: for a job that was deleted, or a state Redis that went away.
_LOOK_S = 5.0

log = structlog.get_logger(__name__)


class Watcher:
    """Watches any number of jobs for any number of callers."""

    def __init__(
        self, *, jobs: JobStore, events: EventReader, waiting: EventReader, blocking: Blocking
    ) -> None:
        """waiting: a reader over a connection of its own, for it blocks."""
        self._jobs, self._events, self._waiting = jobs, events, waiting
        self._blocking = blocking
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._bells: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._cursors: dict[str, int] = {}
        self._work, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._tail, name="tailer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._work.set()
        self._thread.join(timeout=2)

    async def watch(self, job_id: str, *, after: int) -> AsyncIterator[Event]:
        """Events past the cursor, live, up to the final state. Raises NotFound, Unavailable."""
        job = await self._blocking.run(self._jobs.get, job_id)
        bell = asyncio.Event()
        self._subscribe(job_id, bell, after)
        try:
            while True:
                bell.clear()
                page = await self._blocking.run(self._events.read, job_id, after=after, limit=_PAGE)
                for event in page:
                    yield event
                    after = event.cursor
                    if event.kind == "state" and JobState(event.data["state"]).final:
                        return
                if len(page) >= _PAGE:  # of two streams, and gaps count too
                    continue
                if job.state.final:
                    return
                try:
                    await asyncio.wait_for(bell.wait(), _LOOK_S)
                except TimeoutError:
                    job = await self._blocking.run(self._jobs.get, job_id)
        finally:
            self._unsubscribe(job_id, bell)

    def _subscribe(self, job_id: str, bell: asyncio.Event, after: int) -> None:
        with self._lock:
            self._bells[job_id].add(bell)
            self._cursors[job_id] = min(after, self._cursors.get(job_id, after))
        self._work.set()

    def _unsubscribe(self, job_id: str, bell: asyncio.Event) -> None:
        with self._lock:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id], self._cursors[job_id]

    def _tail(self) -> None:
        redis = OutageLog(log, "state Redis")
        while not self._stopping.is_set():
            with self._lock:
                cursors = dict(self._cursors)
            if not cursors:
                self._work.wait()
                self._work.clear()
                continue
            try:
                latest = self._waiting.wait(cursors, timeout_s=_WAIT_S)
                redis.back()
            except Unavailable as error:
                redis.away(error)
                self._stopping.wait(_WAIT_S)
                continue
            with self._lock:
                for job_id, cursor in latest.items():
                    if job_id in self._cursors:
                        self._cursors[job_id] = cursor
                bells = [bell for job_id in latest for bell in self._bells.get(job_id, ())]
            if bells:
                self._loop.call_soon_threadsafe(_ring, bells)


def _ring(bells: list[asyncio.Event]) -> None:
    for bell in bells:
        bell.set()
