"""A worker's sign of life on the queue Redis, with what `convnest status` shows of it."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from convnest_process.outage import OutageLog
from convnest_store.errors import Unavailable
from convnest_store.workers import ModelPresence, WorkerPresence, WorkerRoll

from convnest_worker.kernels import Kernels

log = structlog.get_logger(__name__)
_EVERY_S = 1.0


class Presence:
    """A thread that tells once a second that this worker is there."""

    def __init__(
        self,
        roll: WorkerRoll,
        *,
        name: str,
        job_id: Callable[[], str],
        models: Callable[[], Sequence[ModelPresence]],
        kernels: Kernels,
    ) -> None:
        self._roll, self._name, self._job_id, self._models = roll, name, job_id, models
        self._kernels = kernels
        self._started = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begins; the first sign is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it, and says goodbye."""
        self._stopping.set()
        self._thread.join(timeout=2)
        try:
            self._roll.leave(self._name)
        except Unavailable as error:
            log.info("left without goodbye", error=str(error))

    def _run(self) -> None:
        redis = OutageLog(log, "queue Redis")
        while not self._stopping.is_set():
            presence = WorkerPresence(
                name=self._name,
                job_id=self._job_id(),
                models=tuple(self._models()),
                fingerprint=self._kernels.fingerprint,
                uptime_s=time.monotonic() - self._started,
                preparing=self._kernels.preparing,
                warning=self._kernels.warning,
            )
            try:
                self._roll.tell(presence)
                redis.back()
            except Unavailable as error:
                redis.away(error)
            self._stopping.wait(_EVERY_S)
