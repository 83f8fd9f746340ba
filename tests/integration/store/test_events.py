"""A job's stream: in order, capped, with every gap told."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest
import redis
from convnest_store import scripts
from convnest_store.connection import connect
from convnest_store.events import Event, EventReader, _merge
from hypothesis import given
from hypothesis import strategies as st
from support.desk import Desk
from support.redis_server import RedisServer

KEPT, TRIMMED = ("epoch", {"epoch": 1}), ("log", {"text": "x"})


def everything(events: EventReader, job_id: str, *, limit: int) -> list[Event]:
    """Page by page."""
    found: list[Event] = []
    while page := events.read(job_id, after=found[-1].cursor if found else 0, limit=limit):
        found += page
    return found


def test_events_of_both_streams_come_in_order_over_any_pages(
    desk: Desk, events: EventReader
) -> None:
    desk.new()
    lease = desk.taken()
    for _ in range(10):
        desk.jobs.append_events(lease, [TRIMMED, TRIMMED, KEPT, TRIMMED])
    whole = events.read(lease.job.id, after=0)
    assert [event.cursor for event in whole] == list(range(1, 43))
    for limit in (1, 2, 7, 42, 100):
        assert everything(events, lease.job.id, limit=limit) == list(whole)


def test_trimmed_events_leave_one_gap_and_states_stay(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, events: EventReader
) -> None:
    monkeypatch.setattr(scripts, "TRIMMED_EVENTS", 100)
    desk = Desk(client)
    desk.new()
    lease = desk.taken()
    desk.jobs.append_events(lease, [KEPT])
    for _ in range(8):
        desk.jobs.append_events(lease, [TRIMMED] * 100)
    desk.jobs.append_events(lease, [KEPT])
    found = everything(events, lease.job.id, limit=50)
    assert [event.kind for event in found[:4]] == ["state", "state", "epoch", "truncated"]
    gap = found[3].data["events"]
    assert 600 <= gap < 800
    assert found[3].cursor == 3 + gap
    assert found[-1].cursor == 804
    assert [event.cursor for event in found[4:]] == list(range(4 + gap, 805))
    # One who was in the gap is told of what is left of it.
    first = events.read(lease.job.id, after=100)[0]
    assert (first.kind, first.data["events"]) == ("truncated", gap - 97)


def test_the_latest_progress_is_on_the_record(desk: Desk) -> None:
    desk.new()
    lease = desk.taken()
    desk.jobs.append_events(lease, [("progress", {"done": 1}), ("progress", {"done": 2})])
    assert desk.jobs.get(lease.job.id).progress == {"done": 2}
    desk.jobs.append_events(lease, [])


def test_a_wait_ends_with_the_next_event(
    desk: Desk, events: EventReader, server: RedisServer
) -> None:
    job = desk.new()
    assert events.wait({job.id: 1}, timeout_s=0.01) == {}
    assert events.wait({job.id: 0}, timeout_s=5) == {job.id: 1}
    with connect(server.url, decode=True, timeout_s=10) as waiting:
        found: list[object] = []
        thread = threading.Thread(
            target=lambda: found.append(EventReader(waiting).wait({job.id: 1}, timeout_s=8))
        )
        thread.start()
        desk.taken()
        thread.join(5)
    assert found == [{job.id: 2}]


@given(
    st.lists(st.sampled_from(["kept", "trimmed", "gone"]), max_size=60),
    st.integers(0, 70),
    st.integers(1, 20),
)
def test_merged_pages_lose_nothing_and_tell_each_gap(
    kinds: Sequence[str], after: int, limit: int
) -> None:
    """Every cursor past `after` is an event that is there or lies in a gap that is told."""

    def page(kind: str, past: int) -> list[tuple[str, dict[str, str]]]:
        entries = [
            (f"{cursor}-0", {"kind": kind, "time_ms": "1", "data": json.dumps({})})
            for cursor, its in enumerate(kinds, 1)
            if its == kind and cursor > past
        ]
        return entries[:limit]

    found: list[Event] = []
    cursor = after
    while events := _merge(
        [page("kept", cursor), page("trimmed", cursor)], after=cursor, limit=limit
    ):
        found += events
        cursor = events[-1].cursor
    present = [n for n, kind in enumerate(kinds, 1) if kind != "gone" and n > after]
    assert [event.cursor for event in found if event.kind != "truncated"] == present
    covered = after
    for event in found:
        width = event.data["events"] if event.kind == "truncated" else 1
        assert event.cursor == covered + width
        covered = event.cursor
    assert covered == max(present, default=after)
