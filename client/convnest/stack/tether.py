"""Run a program that ends when its parent does: `python tether.py PARENT_PID -- program arg…`.

For programs, such as redis-server, that cannot watch their parent themselves. The kernel sends
them SIGTERM when the *thread* that started them ends (Linux, `prctl(2)`, PR_SET_PDEATHSIG), so
that thread must live as long as they should. Run as a file: it then imports next to nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def tethered(argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `argv` tied to the calling process; start it from a lasting thread."""
    tether = str(Path(__file__).resolve())
    return (sys.executable, "-I", "-S", tether, str(os.getpid()), "--", *argv)


def _main(arguments: Sequence[str]) -> None:
    parent_pid, separator, *argv = arguments
    if separator != "--" or not argv:
        sys.exit("usage: tether.py PARENT_PID -- program [argument ...]")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"cannot tie {argv[0]} to its parent: {os.strerror(ctypes.get_errno())}")
    # The parent may have ended before the line above: then no signal will ever come.
    if os.getppid() != int(parent_pid):
        sys.exit(f"{argv[0]} was not started: its parent {parent_pid} is gone")
    try:
        os.execv(argv[0], argv)  # noqa: S606 - the program replaces this process, without a shell
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
