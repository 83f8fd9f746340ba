"""A part of the stack, as data, and one run of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .part_log import PartLog


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


class Run:
    """One process of a part. It gets a session of its own, so that Ctrl-C reaches only us."""

    def __init__(self, part: Part, log: PartLog) -> None:
        self._process = subprocess.Popen(
            part.argv,
            env={**os.environ, **part.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=part.inherited,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=log.read_all, args=(self._process.stdout,), name=f"{part.name}-log", daemon=True
        )
        self._reader.start()
        self.pid = self._process.pid

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
