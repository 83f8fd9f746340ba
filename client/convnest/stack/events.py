"""What a stack tells while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind = Literal[
    "started", "ready", "progress", "died", "restarting", "stopping", "stopped", "warning"
]


@dataclass(frozen=True)
class Event:
    """Something that happened to one part, or (`part` empty) to the stack as a whole."""

    kind: Kind
    part: str = ""
    detail: str = ""
    """Words for a person: how it ended, why it is a warning."""
    pid: int | None = None
    """The process that it is about, where there is one."""
    delay_s: float | None = None
    """For `restarting`: how long until then."""


OnEvent: TypeAlias = Callable[[Event], None]
"""Called from the threads that keep the parts; it must not block."""


def ignore_event(_event: Event) -> None:
    """Tell nobody."""


def one_at_a_time(on_event: OnEvent) -> OnEvent:
    """The same, called by one thread at a time, so that its lines do not mix."""
    lock = threading.RLock()

    def tell(event: Event) -> None:
        with lock:
            on_event(event)

    return tell
