"""The processes of a team: forked where that is safe, spawned elsewhere.

A fork copies only the thread that asks for it, so locks that other threads held stay locked for
ever in the child. So a process forks on Linux alone, and only while it has one thread, native ones
(of BLAS, of gRPC) counted. A spawned child is a new interpreter; it takes a quarter of a second.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

_ONE_BLAS_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Child(Protocol):
    """A started process; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, negative for a signal, or None while it runs."""

    def wait(self, timeout: float) -> int:
        """Its exit status; raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it with SIGKILL."""


class Forked:
    """A forked child of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                self._status = 0
            else:
                self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        pause_s = 0.0002
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("a forked member", timeout)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.02)
        return status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def may_fork() -> bool:
    """Whether this process may fork a child that goes on computing."""
    if sys.platform != "linux":
        return False
    return len(os.listdir("/proc/self/task")) == 1


def fork(work: Callable[[], None]) -> Forked:
    """Start a copy of this process that does `work` and ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Forked(pid)
    try:
        # What belongs to the parent (its signal handlers, its objects' finalizers) stays there.
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        gc.freeze()
        work()
    finally:
        os._exit(1)


def spawn(arguments: Sequence[str], descriptors: Sequence[int]) -> Child:
    """Start `python -m convnest_core.team` with open descriptors, and modules found as here."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {**os.environ, **dict.fromkeys(_ONE_BLAS_THREAD, "1"), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "convnest_core.team", *arguments],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def signal_name(status: int) -> str | None:
    """`SIGKILL` for the exit status -9; None for one that is no signal's."""
    if status >= 0:
        return None
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
