"""Being told to stop by the terminal or the system."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def on_stop_signals(first: Callable[[], None], again: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first SIGINT, SIGTERM or SIGHUP inside, and `again` at each later one.

    They are called in a thread that reads the signals from a socket. A Python handler would run
    only once the main thread wakes, and a signal that comes just before that thread begins to
    wait on a lock does not wake it.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        act = first
        while reader.recv(1):
            act()
            act = again

    watcher = threading.Thread(target=watch, name="signals", daemon=True)
    with reader, writer:
        fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in _STOPPING}
        watcher.start()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(fd_before)
            writer.shutdown(socket.SHUT_WR)
            watcher.join()
