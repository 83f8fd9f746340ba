"""One stack at a time on a data directory."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import StackError

_RETRY_S = 0.05


@dataclass(frozen=True)
class Owner:
    """What the lock file says about the stack that holds it, or held it last."""

    pid: int
    runtime_dir: str = ""
    address: str = ""


class DataLock:
    """An flock on `<data_dir>/lock`, held until it is released here and in every process that
    inherited `fileno()`: the state Redis does, so that a new stack cannot start on its files
    while the old one, orphaned by a SIGKILL, still writes them.
    """

    def __init__(self, data_dir: Path, *, dying_timeout_s: float = 10.0) -> None:
        """Take the lock. Where its owner is dead but something of it lives on, wait a while."""
        self._path = data_dir / "lock"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(time.monotonic() + dying_timeout_s)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.previous = read_owner(data_dir)
        """The owner before, which is dead."""

    def write(self, owner: Owner) -> None:
        """Say who holds it."""
        content = json.dumps(asdict(owner)).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)

    def fileno(self) -> int:
        """The descriptor to inherit."""
        return self._descriptor

    def release(self) -> None:
        """Give it up in good order: nobody holds it, and nothing is left to tidy."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _take(self, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = read_owner(self._path.parent)
                if owner is not None and _is_alive(owner.pid):
                    raise StackError(
                        f"{self._path.parent} is in use by another stack (process {owner.pid}); "
                        "stop it, or choose another --data-dir"
                    ) from None
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{self._path.parent} is still in use by what a killed stack left running"
                    ) from None
                time.sleep(_RETRY_S)
            else:
                return


def read_owner(data_dir: Path) -> Owner | None:
    """Who holds the lock of a data directory, or held it last; None where nobody ever did."""
    try:
        return Owner(**json.loads((data_dir / "lock").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
