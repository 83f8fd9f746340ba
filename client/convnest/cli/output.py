"""How results look to people: the console, tables, and the forms of numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from convnest import JobState
from rich.console import Console
from rich.table import Table

# Tables in a file or a pipe are as wide as they need to be.
_PIPE_WIDTH: Final = 1000

STATE_STYLES: Final = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.PAUSED: "yellow",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "dim",
}


def make_console() -> Console:
    """A console on standard output; without a terminal, plain text."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def make_table(columns: Sequence[str], *, right: Sequence[str] = ()) -> Table:
    """An empty table without lines; the columns in `right` are aligned to the right."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def make_facts() -> Table:
    """A table of two columns: what, and its value."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return table


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def bar(share: float, width: int) -> str:
    """A bar of up to `width` characters, drawn to half of one."""
    full, half = divmod(round(min(max(share, 0.0), 1.0) * width * 2), 2)
    return "━" * full + "╸" * half


def duration(seconds: float) -> str:
    """As in 8.4 s, 1:05 or 2:03:44."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return clock(seconds)


def clock(seconds: float) -> str:
    """As in 0:08, 1:05 or 2:03:44."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def size(size_bytes: float) -> str:
    """As in 512 B, 1.4 kB or 20.1 MB."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size_bytes /= 1000
        if size_bytes < 999.95:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} TB"


def local_time(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time is not None else ""


def age(time: datetime | None) -> str:
    """How long ago, as in 5 s, 12 min, 3 h or 4 d."""
    if time is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - time).total_seconds())
    for limit, unit_s, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit_s:.0f} {unit}"
    return f"{seconds // 86400:.0f} d"
