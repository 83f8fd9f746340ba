from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from convnest import JobState, StateChanged
from convnest.cli.datasets import file_name_part
from convnest.cli.json_output import to_plain
from convnest.cli.output import age, bar, clock, duration, percent, size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (7424, "2:03:44")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (8.44, "8.4 s"), (59.96, "1:00"), (65, "1:05")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (2.5e12, "2.5 TB")],
)
def test_size(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=5), "5 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=4), "4 d"),
        (timedelta(seconds=-9), "0 s"),
    ],
)
def test_age(passed: timedelta, text: str) -> None:
    assert age(datetime.now(UTC) - passed) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, ""), (1, "━━━━"), (0.5, "━━"), (0.4, "━╸"), (0.1, "╸"), (2, "━━━━"), (-1, "")],
)
def test_bar(share: float, text: str) -> None:
    assert bar(share, 4) == text


def test_percent() -> None:
    assert percent(0.9876) == "98.8 %"


@pytest.mark.parametrize(
    ("label", "part"),
    [("7", "7"), ("tea rose", "tea_rose"), ("../../etc", ".._.._etc"), ("", "_"), ("日本", "日本")],
)
def test_a_label_cannot_lead_a_file_elsewhere(label: str, part: str) -> None:
    assert file_name_part(label) == part


def test_events_become_objects_that_name_themselves() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    event = StateChanged(7, time, JobState.QUEUED, "slice over", "w", None)
    assert to_plain(event) == {
        "event": "state_changed",
        "cursor": 7,
        "time": "2026-01-02T03:04:05+00:00",
        "state": "QUEUED",
        "reason": "slice over",
        "worker": "w",
        "error": None,
    }
