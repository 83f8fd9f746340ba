"""Compiled kernels on disk: one file of object code each, under a key of all that it depends on.

The folder holds machine code that will run here, so it is only read where no other user could have
written it. Every file carries its own digest and says which kernel of which key it is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .machine import Machine

#: The one symbol of every file. Each is loaded by itself, so they never meet.
ENTRY = "convnest_kernel"

_KEPT_KEYS = 8
_KEPT_S = 30 * 86_400.0
_TOUCHED_S = 86_400.0
_DIGEST_BYTES = 32
_HERE = Path(__file__).parent
#: Of Numba's settings those that change what it generates.
_SETTINGS = ("NUMBA_OPT", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE")


class Stored(NamedTuple):
    """What a file holds."""

    code: bytes
    kinds: tuple[str, ...]


def folder() -> Path:
    """`CONVNEST_KERNEL_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("CONVNEST_KERNEL_CACHE")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if cache.startswith("~"):  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / f"convnest-kernels-{os.geteuid()}"
    return Path(cache) / "convnest" / "kernels"


def problem() -> str:
    """Why nothing can be kept in the folder; "" where it can."""
    place = folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is no folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} is read-only"
    if place == folder():
        for inner in place.iterdir():
            if _is_key(inner) and not _is_ours(inner.stat()):
                return f"others may write to {inner}"
    return ""


@functools.cache
def key(machine: Machine, *, checked: bool, home: Path = _HERE) -> str:
    """Of the sources below `home`, the compiler, the CPU, and whether accesses are checked."""
    digest = hashlib.sha256()
    for path in sorted(
        [
            *home.glob("language/*.py"),
            *home.glob("sources/*.py"),
            home / "compiler.py",
            home / "machine.py",
        ]
    ):
        digest.update(path.read_bytes())
    # Imported here because it brings half of the library's mail along.
    import importlib.metadata

    compiler = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    compiler += [os.environ.get(name, "") for name in _SETTINGS]
    digest.update(repr((machine, compiler, checked)).encode())
    return digest.hexdigest()[:24]


def stored(title: str, under: str) -> Stored | None:
    """The kernel that was kept under this key; None where there is none, or not an intact one."""
    path = folder() / under / f"{title}.o"
    try:
        with path.open("rb") as file:
            home = path.parent.stat()
            if not _is_ours(os.fstat(file.fileno())) or not _is_ours(home):
                return None
            content = file.read()
    except OSError:
        return None
    digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    head, _, code = rest.partition(b"\n")
    about = json.loads(head)
    if (about["kernel"], about["key"]) != (title, under):
        return None
    if time.time() - home.st_mtime > _TOUCHED_S:
        with contextlib.suppress(OSError):
            os.utime(path.parent)
    return Stored(code, tuple(about["kinds"]))


def keep(title: str, under: str, kernel: Stored) -> bool:
    """Write a kernel where `stored` finds it, whole or not at all; False where it cannot be."""
    home = folder() / under
    head = json.dumps({"kernel": title, "key": under, "kinds": kernel.kinds}).encode()
    rest = head + b"\n" + kernel.code
    try:
        if not home.is_dir():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(home)
        if not _is_ours(home.stat()):
            return False
        with tempfile.NamedTemporaryFile(dir=home, prefix=".", delete=False) as file:
            file.write(hashlib.sha256(rest).digest() + rest)
        Path(file.name).replace(home / f"{title}.o")
    except OSError:  # a read-only or full disk: kernels are then compiled in each process
        return False
    return True


def _tidy(newest: Path) -> None:
    """Remove what other versions and CPUs left, but for a few that were used lately."""
    used: list[tuple[float, Path]] = []
    for path in newest.parent.iterdir():
        with contextlib.suppress(OSError):  # another process tidies, too
            if path != newest and _is_key(path):
                used.append((path.stat().st_mtime, path))
    for rank, (at, path) in enumerate(sorted(used, reverse=True), 1):
        if rank >= _KEPT_KEYS or time.time() - at > _KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def _is_key(path: Path) -> bool:
    """Whether a folder is one of ours; the cache's folder may hold others."""
    return re.fullmatch("[0-9a-f]{24}", path.name) is not None and path.is_dir()


def _is_ours(status: os.stat_result) -> bool:
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid in (os.geteuid(), 0) and not others_write
