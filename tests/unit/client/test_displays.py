from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from convnest import (
    ConvNestError,
    EpochFinished,
    EpochMetrics,
    JobError,
    JobEvent,
    JobState,
    LogWritten,
    Progress,
    ProgressMade,
    StateChanged,
    Truncated,
)
from convnest.cli import displays
from convnest.cli.displays import LiveBar, LiveDisplay, PlainDisplay
from rich.console import Console

Event = Callable[..., JobEvent]


@pytest.fixture
def event() -> Event:
    cursors: Iterator[int] = itertools.count(1)

    def make(kind: Callable[..., JobEvent], *rest: object) -> JobEvent:
        return kind(next(cursors), datetime(2026, 1, 1, tzinfo=UTC), *rest)

    return make


def training(done: int, *, epoch: int) -> Progress:
    return Progress("training", done, 30, epoch, 3, 0.25, 5120.0, 65.0)


def epoch(number: int, accuracy: float) -> EpochMetrics:
    return EpochMetrics(number, 0.5, 0.9, 0.4, accuracy, 1.5, 1.0, 0.1)


def plain() -> tuple[PlainDisplay, io.StringIO]:
    out = io.StringIO()
    return PlainDisplay(Console(file=out, width=200), None), out


def rendered(bar: LiveBar) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(bar)
    return capture.get()


def test_a_live_bar_shows_the_whole_job_and_the_moment(event: Event) -> None:
    bar = LiveBar()
    assert "waiting for a worker" in rendered(bar)
    bar.update(event(StateChanged, JobState.RUNNING, "", "w", None))
    assert "running" in rendered(bar)
    bar.update(event(EpochFinished, epoch(1, 0.98)))
    bar.update(event(ProgressMade, training(15, epoch=2)))
    text = rendered(bar)
    assert "training" in text
    assert "50 %" in text
    assert "1:05 left" in text
    assert "epoch 2/3 · batch 5/10 · loss 0.2500 · 5,120 images/s · val. 98.0 %" in text


def test_a_live_bar_without_a_total_says_the_phase(event: Event) -> None:
    bar = LiveBar()
    bar.update(event(StateChanged, JobState.RUNNING, "", "w", None))
    bar.update(event(ProgressMade, Progress("loading", 0, 0, 0, 0, 0, 0, 0)))
    text = rendered(bar)
    assert "loading" in text
    assert "%" not in text


def test_a_live_bar_says_when_the_server_is_away(event: Event) -> None:
    bar = LiveBar()
    bar.update(event(StateChanged, JobState.RUNNING, "", "w", None))
    bar.is_away = True
    assert "the server is away; trying again" in rendered(bar)
    bar.update(event(ProgressMade, training(15, epoch=2)))
    assert "away" not in rendered(bar)


def test_rows_stay_when_the_live_display_goes(event: Event) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    with LiveDisplay(console, None) as display:
        display.show(event(EpochFinished, epoch(1, 0.97)))
        display.show(event(EpochFinished, epoch(2, 0.96)))
    text = out.getvalue()
    assert "\x1b[1;32m   97.0 %\x1b[0m" in text, "the best so far stands out"
    assert "\x1b[1;32m   96.0 %\x1b[0m" not in text


def test_plain_lines_tell_what_happened(event: Event) -> None:
    display, out = plain()
    error = JobError("SLICE_CRASHED", "killed by signal 9", "", 1, None, "")
    with display:
        display.show(event(StateChanged, JobState.QUEUED, "", "", None))
        display.show(event(StateChanged, JobState.RUNNING, "", "w1", None))
        display.show(event(StateChanged, JobState.QUEUED, "", "", error))
        display.show(event(StateChanged, JobState.RUNNING, "", "w2", None))
        display.show(event(LogWritten, "warning", "slow"))
        display.show(event(Truncated, 1200))
        display.show(event(StateChanged, JobState.QUEUED, "slice over", "", None))
    assert [line.strip(" ·") for line in out.getvalue().splitlines()] == [
        "queued again: killed by signal 9",
        "running again on w2",
        "slow",
        "1,200 older events are no longer stored",
        "queued again: slice over",
    ]


def test_plain_progress_is_told_now_and_then(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    display, out = plain()
    display.show(event(ProgressMade, training(14, epoch=2)))
    assert out.getvalue() == ""
    monkeypatch.setattr(displays, "_PLAIN_PROGRESS_S", 0.0)
    display.show(event(ProgressMade, training(15, epoch=2)))
    assert out.getvalue() == (
        "training · 50 % · epoch 2/3 · batch 5/10 · loss 0.2500 · 5,120 images/s · 1:05 left\n"
    )


def test_an_outage_is_told_once(event: Event) -> None:
    display, out = plain()
    display.interrupted(ConvNestError("gone"))
    display.interrupted(ConvNestError("gone"))
    assert out.getvalue() == "gone; trying again\n"
    display.show(event(StateChanged, JobState.RUNNING, "", "", None))
    display.interrupted(ConvNestError("gone"))
    assert out.getvalue().count("trying again") == 2
