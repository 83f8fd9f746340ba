"""What a hint comes to: take the best waiting job, run a slice of it, hint again if more wait."""

import secrets
import threading

import structlog
from convnest_process.broker import JobHints
from convnest_store.errors import Unavailable

from convnest_worker.jobs.supervision import Stores, Supervision
from convnest_worker.kernels import Kernels
from convnest_worker.settings import WorkerSettings

#: For telling the state Redis what came of it.
_TELL_S = 4.0

log = structlog.get_logger(__name__)


class JobRunner:
    """Runs one job at a time, in the thread of the Celery task."""

    def __init__(
        self, *, stores: Stores, hints: JobHints, settings: WorkerSettings, kernels: Kernels
    ) -> None:
        self._stores, self._hints, self._settings = stores, hints, settings
        self._kernels = kernels
        self._draining = threading.Event()
        self._idle = threading.Condition()
        self._job_id = ""

    @property
    def job_id(self) -> str:
        """The job that runs now, or ""."""
        return self._job_id

    def run_next(self) -> None:
        """Claims a job, if one waits, and sees its slice through. Never raises Unavailable."""
        if self._draining.is_set():
            return
        try:
            lease = self._stores.jobs.claim(
                worker=self._settings.worker_name,
                nonce=secrets.token_hex(8),
                lease_s=self._settings.lease_s,
                fingerprint=" ".join(
                    f"{k}={v}" for k, v in sorted(self._kernels.fingerprint.items())
                ),
            )
        except Unavailable as error:
            # The job stays QUEUED; the reaper sends another hint.
            log.warning("no job taken", error=str(error))
            return
        if lease is None:
            return
        self._job_id = lease.job.id
        try:
            Supervision(
                lease, stores=self._stores, settings=self._settings, draining=self._draining
            ).run()
        finally:
            with self._idle:
                self._job_id = ""
                self._idle.notify_all()
        if not self._draining.is_set():
            self._hints.send()

    def begin_drain(self) -> None:
        """Takes no more jobs, and has the running one save and give way."""
        self._draining.set()

    def drain(self) -> None:
        """Waits until the running job has given way."""
        self.begin_drain()
        # The slice is killed after drain_s; what is left is telling the state Redis.
        patience_s = self._settings.drain_s + _TELL_S
        with self._idle:
            if not self._idle.wait_for(lambda: not self._job_id, patience_s):
                log.warning("job not given back; its lease will run out", job_id=self._job_id)
