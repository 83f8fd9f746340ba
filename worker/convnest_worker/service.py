"""The parts of a worker that live as long as it does, as one step of Celery's worker blueprint.

Not the consumer's blueprint: that restarts at every reconnect to Redis. A worker step's `stop` is
called while a task still runs, which is what a drain needs.
"""

import os
import signal
import threading
from typing import Any, ClassVar

import structlog
from celery import Celery, bootsteps
from celery.signals import worker_shutting_down
from convnest_process.broker import RUN_NEXT, JobHints
from convnest_store.blobs import blob_store
from convnest_store.catalog import DatasetCatalog
from convnest_store.connection import connect
from convnest_store.inference import InferenceQueue
from convnest_store.jobs import JobStore
from convnest_store.registry import ModelRegistry
from convnest_store.workers import WorkerRoll

from convnest_worker.jobs.reaper import Reaper
from convnest_worker.jobs.runner import JobRunner
from convnest_worker.jobs.supervision import Stores
from convnest_worker.kernels import Kernels
from convnest_worker.presence import Presence
from convnest_worker.serving.supervisor import ServingSupervisor
from convnest_worker.settings import WorkerSettings

#: For what is left after the drain.
_END_S = 5.0

log = structlog.get_logger(__name__)


class WorkerService:
    """Wires the worker's parts together."""

    def __init__(self, settings: WorkerSettings, app: Celery) -> None:
        state = connect(settings.state_url, decode=True)
        queue = connect(settings.queue_url, decode=False)
        waker = connect(settings.queue_url, decode=False, timeout_s=10)
        hints = JobHints(app)
        jobs = JobStore(state)
        stores = Stores(
            jobs=jobs,
            datasets=DatasetCatalog(state),
            blobs=blob_store(settings.blob_url, cache_dir=settings.runtime_dir / "blobs"),
        )
        self._kernels = Kernels(stall_s=settings.stall_s)
        self.runner = JobRunner(
            stores=stores, hints=hints, settings=settings, kernels=self._kernels
        )
        self._reaper = Reaper(jobs=jobs, hints=hints, settings=settings)
        self._serving = ServingSupervisor(
            queue=InferenceQueue(queue),
            waker=InferenceQueue(waker),
            models=ModelRegistry(state),
            settings=settings,
        )
        self._presence = Presence(
            WorkerRoll(queue),
            name=settings.worker_name,
            job_id=lambda: self.runner.job_id,
            models=self._serving.presence,
            kernels=self._kernels,
        )

    def start(self) -> None:
        """Starts what runs beside Celery's consumer, which begins when this returns.

        What would wait for kernels, jobs and models, is not taken before they are compiled.
        """
        self._presence.start()
        self._reaper.start()
        self._kernels.prepare()
        self._serving.start()

    def begin_stop(self) -> None:
        """Has everything begin to end, without waiting for it."""
        self._kernels.stop()
        self.runner.begin_drain()
        self._serving.begin_stop()

    def stop(self) -> None:
        """Gives back the running job and the models."""
        log.info("worker stopping")
        self.begin_stop()
        self.runner.drain()
        self._serving.stop()
        self._reaper.stop()
        self._presence.stop()
        log.info("worker stopped")


def install(app: Celery, settings: WorkerSettings) -> None:
    """Gives the app its one task and its one step."""
    service = WorkerService(settings, app)

    @app.task(name=RUN_NEXT)  # type: ignore[untyped-decorator]  # celery has no types
    def run_next() -> None:
        service.runner.run_next()

    class ServiceStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
        requires: ClassVar[set[str]] = {"celery.worker.components:Pool"}

        def start(self, _worker: Any) -> None:
            service.start()

        def stop(self, _worker: Any) -> None:
            # A second SIGTERM must not cut the drain short.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            service.stop()

    app.steps["worker"].add(ServiceStep)

    def at_signal(**_: Any) -> None:
        # Celery stops its steps once its consumer is out of whatever it waits for, such as a
        # queue Redis that does not answer; the drain has no time to lose.
        service.begin_stop()
        _end_in_any_case(after_s=settings.drain_s + _END_S)

    worker_shutting_down.connect(at_signal, weak=False)


def _end_in_any_case(*, after_s: float) -> None:
    """Ends the process at the end of its time, whatever still waits (a name look-up has no limit).

    Its children end with its pipes, and its leases run out.
    """

    def end() -> None:
        log.error("worker did not stop in time; it is ended", after_s=after_s)
        os._exit(1)

    timer = threading.Timer(after_s, end)
    timer.daemon = True
    timer.start()
