"""`python -m convnest_worker`: a Celery worker that takes jobs and serves models."""

import os
import signal
import sys

from convnest_core import single_blas_thread
from convnest_process.broker import QUEUE, make_celery
from convnest_process.logs import configure_logs
from convnest_process.tether import when_parent_ends

from convnest_worker.service import install
from convnest_worker.settings import WorkerSettings


def main() -> int:
    """Runs until SIGTERM or the parent's end; then drains."""
    settings = WorkerSettings()
    configure_logs(settings.log_level, settings.log_format)
    # As its slices compute: the fingerprint that jobs prefer names the number of threads.
    single_blas_thread()
    settings.runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    app = make_celery(settings.queue_url)
    install(app, settings)
    if settings.parent_fd is not None:
        when_parent_ends(settings.parent_fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    worker = app.Worker(
        # Tasks only supervise a subprocess: one thread is enough, and may start processes.
        pool="threads",
        concurrency=1,
        queues=[QUEUE],
        hostname=f"convnest@{settings.worker_name}",
        loglevel=settings.log_level.upper(),
        redirect_stdouts=False,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
