"""A part of the stack, as data, and one run of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .part_log import PartLog


class Heard(NamedTuple):
    """Something that a part told, for the stack's events."""

    kind: Literal["progress", "warning"]
    detail: str


@dataclass(frozen=True)
class Part:
    """A program to keep running."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    """Whether it does its work now; a StackError says that it never will."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of this process."""
    inherited: Sequence[int] = ()
    """File descriptors that it gets under the same numbers."""
    hear: Callable[[str], Heard | None] = lambda _line: None
    """What a line that it prints tells a person, if anything."""


class Run:
    """One process of a part. It gets a session of its own, so that Ctrl-C reaches only us."""

    def __init__(self, part: Part, log: PartLog, on_line: Callable[[str], None]) -> None:
        reading_fd, writing_fd = os.pipe()
        reading_end = open(reading_fd, "rb", buffering=0)  # noqa: SIM115 - the log closes it
        try:
            self._process = subprocess.Popen(
                part.argv,
                env={**os.environ, **part.env},
                stdin=subprocess.DEVNULL,
                stdout=writing_fd,
                stderr=subprocess.STDOUT,
                # It holds our end too: when this process is killed, what it says while it drains
                # goes unread, but does not break it.
                pass_fds=(*part.inherited, reading_fd),
                start_new_session=True,
            )
        except BaseException:
            reading_end.close()
            raise
        finally:
            os.close(writing_fd)
        self.pid = self._process.pid
        self._reader = threading.Thread(
            target=log.read_all, args=(reading_end, on_line), name=f"{part.name}-log", daemon=True
        )
        self._reader.start()

    def ended_within(self, timeout_s: float | None) -> bool:
        """Wait for its end, and then for the end of what it prints, as its children let it."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(timeout=0.5)
        return True

    def ending(self) -> str:
        """How it ended: `exit code 1`, `killed by SIGKILL`."""
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it and its process group now."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
