"""Every worker's share of keeping jobs alive: re-queue what has lost its worker, re-send hints."""

import random
import threading

import structlog
from convnest_process.broker import JobHints
from convnest_process.outage import OutageLog
from convnest_store.errors import Unavailable
from convnest_store.jobs import JobStore

from convnest_worker.settings import WorkerSettings

_EARLIEST, _LATEST = 0.7, 1.3

log = structlog.get_logger(__name__)


class Reaper:
    """A thread that runs the reaper script now and then, at times of its own."""

    def __init__(self, *, jobs: JobStore, hints: JobHints, settings: WorkerSettings) -> None:
        self._jobs, self._hints, self._settings = jobs, hints, settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        """Begins; the first look is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        redis = OutageLog(log, "state Redis")
        while not self._stopping.is_set():
            try:
                waiting, reaped = self._jobs.reap(
                    lease_s=self._settings.lease_s, every_s=_LATEST * self._settings.reap_s
                )
                redis.back()
                for job_id in reaped:
                    log.warning("job had lost its worker", job_id=job_id)
                if waiting:
                    self._hints.send()
            except Unavailable as error:
                redis.away(error)
            # Jitter keeps the workers' looks apart without an election.
            pause_s = self._settings.reap_s * random.uniform(_EARLIEST, _LATEST)  # noqa: S311
            self._stopping.wait(pause_s)
