"""A process that ends with its parent: it reads a pipe whose other end only the parent has."""

import os
import threading
from collections.abc import Callable


def when_parent_ends(fd: int, then: Callable[[], None]) -> None:
    """Calls `then` in a thread of its own once the pipe `fd` is at its end."""

    def read_to_the_end() -> None:
        while os.read(fd, 4096):
            pass
        then()

    threading.Thread(target=read_to_the_end, name="tether", daemon=True).start()
