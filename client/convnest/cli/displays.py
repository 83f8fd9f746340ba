"""How a job's events are shown while they come: live on a terminal, else line by line."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Protocol

from convnest import (
    ConvNestError,
    EpochFinished,
    Job,
    JobEvent,
    JobState,
    LogWritten,
    Progress,
    ProgressMade,
    StateChanged,
    TrainSpec,
    Truncated,
)
from convnest.cli.epoch_rows import HEADER, EpochRows
from convnest.cli.output import clock, percent
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_PLAIN_PROGRESS_S: Final = 10.0
_LABEL_WIDTH: Final = 10


class Display(Protocol):
    """Shows a job's events; used as a context manager around the watch."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def show(self, event: JobEvent) -> None: ...
    def interrupted(self, error: ConvNestError) -> None: ...


def make_display(console: Console, job: Job) -> Display:
    """A live display on a terminal, plain lines elsewhere."""
    epochs = job.spec.epochs if isinstance(job.spec, TrainSpec) else None
    return LiveDisplay(console, epochs) if console.is_terminal else PlainDisplay(console, epochs)


class PlainDisplay:
    """Lines that stay: states, epochs, log, and now and then the progress."""

    def __init__(self, console: Console, epochs: int | None) -> None:
        self._lines = _Lines(console, epochs)
        self._console = console
        self._progress_time = time.monotonic()
        self._is_away = False

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: JobEvent) -> None:
        self._is_away = False
        self._lines.show(event)
        now = time.monotonic()
        if isinstance(event, ProgressMade) and now - self._progress_time >= _PLAIN_PROGRESS_S:
            self._progress_time = now
            self._console.print(_plain_progress(event.progress))

    def interrupted(self, error: ConvNestError) -> None:
        if not self._is_away:
            self._console.print(f"{error}; trying again")
        self._is_away = True


class LiveDisplay:
    """The lines that stay, and below them a bar over the whole job that moves."""

    def __init__(self, console: Console, epochs: int | None) -> None:
        self._lines = _Lines(console, epochs)
        self._bar = LiveBar()
        self._live = Live(self._bar, console=console, refresh_per_second=10, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, event: JobEvent) -> None:
        self._lines.show(event)
        self._bar.update(event)

    def interrupted(self, error: ConvNestError) -> None:  # noqa: ARG002 (the protocol's)
        self._bar.is_away = True


class LiveBar:
    """What moves: the phase, a bar, the time left; and below, the numbers of the moment."""

    def __init__(self) -> None:
        self.is_away = False
        self._state = JobState.QUEUED
        self._progress: Progress | None = None
        self._progress_time = 0.0
        self._validation_accuracy: float | None = None
        self._spinner = Spinner("dots", style="cyan")

    def update(self, event: JobEvent) -> None:
        self.is_away = False
        match event:
            case StateChanged(state=state):
                self._state = state
                self._progress = None
            case ProgressMade(progress=progress):
                self._progress = progress
                self._progress_time = time.monotonic()
            case EpochFinished(metrics=metrics):
                self._validation_accuracy = metrics.validation_accuracy

    def __rich__(self) -> RenderableType:
        if self.is_away:
            return self._waiting("the server is away; trying again")
        if self._state is JobState.QUEUED:
            return self._waiting("waiting for a worker")
        if self._progress is None or self._state is not JobState.RUNNING:
            return self._waiting(self._state.value.lower())
        return Group(Text(), self._bar(self._progress), self._numbers(self._progress))

    def _waiting(self, text: str) -> RenderableType:
        self._spinner.update(text=Text(text, style="cyan"))
        return Group(Text(), self._spinner)

    def _bar(self, progress: Progress) -> RenderableType:
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        row.add_column(width=_LABEL_WIDTH)
        row.add_column(ratio=1)
        row.add_column(justify="right", width=5)
        row.add_column(justify="right", min_width=9)
        share = progress.done / progress.total if progress.total else None
        row.add_row(
            Text(progress.phase, style="bold cyan"),
            ProgressBar(
                total=progress.total or None,
                completed=progress.done,
                style="grey30",
                complete_style="cyan",
                finished_style="green",
                pulse=share is None,
            ),
            Text(f"{100 * share:.0f} %" if share is not None else "", style="bold"),
            Text(self._time_left(progress), style="dim"),
        )
        return row

    def _numbers(self, progress: Progress) -> Text:
        parts = _numbers(progress)
        if self._validation_accuracy is not None:
            parts.append(f"val. {percent(self._validation_accuracy)}")
        return Text(" " * (_LABEL_WIDTH + 2) + " · ".join(parts), style="dim")

    def _time_left(self, progress: Progress) -> str:
        if not progress.seconds_left:
            return ""
        passed_s = time.monotonic() - self._progress_time
        return f"{clock(max(0.0, progress.seconds_left - passed_s))} left"


class _Lines:
    """What is printed and stays."""

    def __init__(self, console: Console, epochs: int | None) -> None:
        self._console = console
        self._rows = EpochRows(epochs)
        self._has_header = False
        self._has_run = False

    def show(self, event: JobEvent) -> None:
        match event:
            case EpochFinished(metrics=metrics):
                if not self._has_header:
                    self._console.print()
                    self._console.print(HEADER)
                self._has_header = True
                self._console.print(self._rows.row(metrics))
            case StateChanged(state=JobState.RUNNING, worker=worker):
                if self._has_run:
                    self._note(f"running again{f' on {worker}' if worker else ''}")
                self._has_run = True
            case StateChanged(state=JobState.QUEUED | JobState.PAUSED as state, reason=reason):
                if self._has_run:
                    message = event.error.message if event.error is not None else reason
                    self._note(f"{state.value.lower()} again{': ' if message else ''}{message}")
            case LogWritten(level=level, text=text):
                self._note(text, style="yellow" if level == "warning" else "dim")
            case Truncated(events=events):
                self._note(f"{events:,} older events are no longer stored")

    def _note(self, text: str, *, style: str = "dim") -> None:
        self._console.print(Text(f"  · {text}", style=style))


def _numbers(progress: Progress) -> list[str]:
    parts = []
    if progress.epochs:
        per_epoch = progress.total // progress.epochs
        batch = progress.done - per_epoch * max(0, progress.epoch - 1)
        parts += [f"epoch {progress.epoch}/{progress.epochs}", f"batch {batch:,}/{per_epoch:,}"]
        if progress.loss:
            parts.append(f"loss {progress.loss:.4f}")
    elif progress.total:
        parts.append(f"{progress.done:,}/{progress.total:,}")
    if progress.images_per_second:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    return parts


def _plain_progress(progress: Progress) -> str:
    share = f"{100 * progress.done / progress.total:.0f} %" if progress.total else ""
    left = f"{clock(progress.seconds_left)} left" if progress.seconds_left else ""
    return " · ".join(filter(None, [progress.phase, share, *_numbers(progress), left]))
