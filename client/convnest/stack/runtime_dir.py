"""The private directory of a running stack: its sockets and its scratch files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from .errors import StackError

_PREFIX = "convnest-"
_LONGEST_NAME = "worker-64/30-bytes-for-the-names-of-sock"
"""Room for the names that parts give to their own directories and sockets in it."""
_SUN_PATH_BYTES = 104
"""The shortest limit of a socket's path among the systems we know, its ending zero included."""


def make_runtime_dir(base: Path | None) -> Path:
    """Make a directory of mode 0700 in `base`, else in `$XDG_RUNTIME_DIR`, else in `/tmp`.

    StackError where a socket's path in it would be too long, or it cannot be made.
    """
    candidates = [base] if base is not None else [*_xdg_runtime_dir(), Path("/tmp")]  # noqa: S108
    fitting = [candidate for candidate in candidates if _fits(candidate)]
    if not fitting:
        raise StackError(
            f"the runtime directory {candidates[0]} has too long a path for sockets "
            f"(they end at {_SUN_PATH_BYTES} bytes); set CONVNEST_RUNTIME_DIR to a shorter one"
        )
    try:
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=fitting[0]))
    except OSError as error:
        raise StackError(
            f"no runtime directory can be made in {fitting[0]}: {error.strerror}"
        ) from error


def remove_runtime_dir(path: Path) -> None:
    """Remove a runtime directory, also one that a killed stack left; anything else is kept."""
    try:
        status = path.lstat()
    except OSError:
        return
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if ours and path.name.startswith(_PREFIX):
        shutil.rmtree(path, ignore_errors=True)


def _fits(base: Path) -> bool:
    longest = base / f"{_PREFIX}12345678" / _LONGEST_NAME
    return len(os.fsencode(longest)) < _SUN_PATH_BYTES


def _xdg_runtime_dir() -> list[Path]:
    path = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    return [path] if path.is_absolute() and os.access(path, os.W_OK | os.X_OK) else []
