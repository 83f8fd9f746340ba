"""A watcher shows every event once, however they lie in pages, up to the final state."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from convnest_server.blocking import Blocking
from convnest_server.watch import Watcher
from convnest_store.events import Event, EventReader
from convnest_store.jobs import JobStore
from convnest_store.states import JobState

END = {"state": "SUCCEEDED", "reason": "", "worker": ""}


class Events:
    """A stream in memory whose pages may hold more than was asked for, as gaps count too."""

    def __init__(self, *, extra: int) -> None:
        self.events: list[Event] = []
        self._extra = extra
        self._more = threading.Event()

    def add(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append(Event(len(self.events) + 1, kind, 1, data))
        self._more.set()

    def read(self, job_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        return [event for event in self.events if event.cursor > after][: limit + self._extra]

    def wait(self, cursors: Mapping[str, int], *, timeout_s: float) -> Mapping[str, int]:
        self._more.wait(timeout_s)
        self._more.clear()
        last = len(self.events)
        return {job_id: last for job_id, cursor in cursors.items() if cursor < last}


class Jobs:
    """One job, which is final when its last event says so."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def get(self, job_id: str) -> object:
        class Record:
            state = (
                JobState.SUCCEEDED
                if self._events.events and self._events.events[-1].data == END
                else JobState.RUNNING
            )

        return Record


async def watched(events: Events, *, after: int = 0) -> list[int]:
    blocking = Blocking(threads=2, waiting=10)
    reader = cast(EventReader, events)
    watcher = Watcher(
        jobs=cast(JobStore, Jobs(events)), events=reader, waiting=reader, blocking=blocking
    )
    try:
        return [event.cursor async for event in watcher.watch("job", after=after)]
    finally:
        watcher.close()
        blocking.close()


@pytest.mark.parametrize("extra", [0, 1, 7])
def test_a_final_job_shows_all_it_has_over_any_number_of_pages(extra: int) -> None:
    events = Events(extra=extra)
    for _ in range(1200):
        events.add("log", {"level": "info", "text": ""})
    events.add("state", END)
    assert asyncio.run(watched(events)) == list(range(1, 1202))
    assert asyncio.run(watched(events, after=1199)) == [1200, 1201]
    assert asyncio.run(watched(events, after=2**64 - 1)) == []


def test_events_come_as_they_happen_up_to_the_final_state() -> None:
    events = Events(extra=0)
    events.add("log", {})

    async def scenario() -> list[int]:
        watching = asyncio.create_task(watched(events))
        for _ in range(3):
            await asyncio.to_thread(events.add, "log", {})
        await asyncio.to_thread(events.add, "state", END)
        await asyncio.to_thread(events.add, "log", {})  # past the end: not shown
        return await asyncio.wait_for(watching, 10)

    shown = asyncio.run(scenario())
    assert shown == [1, 2, 3, 4, 5]
