"""Stand-in server and worker processes under a real Redis, and a recorder of what happens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from convnest.stack import Event, Programs, StackOptions
from convnest.stack.backoff import Backoff

_HERE = Path(__file__).parent
_PATIENCE_S = 30.0


class Recorder:
    """Keeps a stack's events, and waits for the one that a test is about."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, kind: str, part: str, *, count: int = 1) -> Event:
        """The `count`-th event of a kind about a part, which may have been already."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: len(self.of(kind, part)) >= count, timeout=_PATIENCE_S
            )
            assert found, f"no {kind} of {part}: {self.events}"
            return self.of(kind, part)[count - 1]

    def of(self, kind: str, part: str) -> list[Event]:
        """All events of a kind about a part."""
        return [event for event in self.events if (event.kind, event.part) == (kind, part)]

    def parts(self, kind: str) -> Sequence[str]:
        """The parts that had an event of a kind, in order; not the stack itself."""
        return [event.part for event in self.events if event.kind == kind and event.part]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def programs() -> Programs:
    return Programs(
        server=(sys.executable, str(_HERE / "stand_in_server.py")),
        worker=(sys.executable, str(_HERE / "stand_in_worker.py")),
    )


@pytest.fixture
def options(tmp_path: Path) -> StackOptions:
    return StackOptions(
        data_dir=tmp_path / "data", port=0, state_url=None, queue_url=None, ready_timeout_s=30
    )


@pytest.fixture
def quick_backoff() -> Callable[[], Backoff]:
    return lambda: Backoff(first_s=0.01, longest_s=0.05)
