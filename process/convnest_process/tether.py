"""A process that ends with its parent: it reads a pipe whose other end only the parent has."""

import os
import threading
from collections.abc import Callable


def when_parent_ends(fd: int, then: Callable[[], None]) -> None:
    """Calls `then` in a thread of its own once the pipe `fd` is at its end.

    What this process prints from then on goes nowhere: the parent read it, and a pipe that nobody
    reads stops the one who writes once it is full.
    """

    def read_to_the_end() -> None:
        while os.read(fd, 4096):
            pass
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        then()

    threading.Thread(target=read_to_the_end, name="tether", daemon=True).start()
