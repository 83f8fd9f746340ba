"""Following a job from the command line to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from convnest import EpochFinished, EpochMetrics, Job, JobEvent, JobState
from convnest.cli.context import CommandFailed
from convnest.cli.displays import make_display
from convnest.cli.json_output import print_json_line
from rich.console import Console


@contextmanager
def job_goes_on(job: Job) -> Iterator[None]:
    """Within it, Ctrl-C leaves the job running, says how to come back, and exits with 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"Job {job.id} goes on. Come back with: convnest jobs watch {job.id}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


def follow(
    job: Job, console: Console, *, on_event: Callable[[JobEvent], None] | None = None
) -> Job:
    """Shows the job until it succeeds and returns it then; `on_event` is told each event too.

    CommandFailed where it ends in another way.
    """
    with make_display(console, job) as display:
        for event in job.watch(on_interruption=display.interrupted):
            display.show(event)
            if on_event is not None:
                on_event(event)
    return succeeded(job.refresh())


def follow_as_json(job: Job, *, on_event: Callable[[JobEvent], None] | None = None) -> Job:
    """As `follow`, but prints the job, one line for each event, and the job as it ended."""
    print_json_line({"event": "job", "job": job})
    for event in job.watch():
        print_json_line(event)
        if on_event is not None:
            on_event(event)
    job = job.refresh()
    print_json_line({"event": "job", "job": job})
    return succeeded(job)


def succeeded(job: Job) -> Job:
    """The job, which must have succeeded; CommandFailed says why it did not."""
    if job.state is JobState.SUCCEEDED:
        return job
    cause = f": {job.error.message}" if job.error is not None else ""
    raise CommandFailed(f"job {job.id} {_ENDS.get(job.state, 'has not ended')}{cause}")


class History:
    """Collects the metrics of the epochs that pass by."""

    def __init__(self) -> None:
        self.epochs: list[EpochMetrics] = []

    def add(self, event: JobEvent) -> None:
        if isinstance(event, EpochFinished):
            self.epochs.append(event.metrics)


_ENDS = {JobState.FAILED: "failed", JobState.CANCELLED: "was cancelled"}
