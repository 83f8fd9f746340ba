"""Compiled kernels on disk: one file of object code each, under a key of all that it depends on.

The folder holds machine code that will run here, so it is only read where no other user could have
written it, and every file carries its own digest.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .machine import Machine

_KEPT_KEYS = 8
_KEPT_S = 30 * 86_400.0
_DIGEST_BYTES = 32


class Stored(NamedTuple):
    """What a file holds."""

    code: bytes
    symbol: str
    kinds: tuple[str, ...]


def folder() -> Path:
    """`CONVNEST_KERNEL_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("CONVNEST_KERNEL_CACHE")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "convnest" / "kernels"


@functools.cache
def key(machine: Machine, *, checked: bool) -> str:
    """Of the sources, the compiler's versions, the CPU, and whether accesses are checked."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(
        [*here.glob("language/*.py"), *here.glob("sources/*.py"), here / "compiler.py"]
    ):
        digest.update(path.read_bytes())
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    digest.update(repr((machine, versions, checked)).encode())
    return digest.hexdigest()[:24]


def stored(name: str, under: str) -> Stored | None:
    """The kernel that was kept under this key; None where there is none, or not an intact one."""
    path = folder() / under / f"{name}.o"
    try:
        with path.open("rb") as file:
            if not _is_ours(os.fstat(file.fileno())) or not _is_ours(path.parent.stat()):
                return None
            content = file.read()
    except OSError:
        return None
    digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    head, _, code = rest.partition(b"\n")
    about = json.loads(head)
    return Stored(code, about["symbol"], tuple(about["kinds"]))


def keep(name: str, under: str, kernel: Stored) -> bool:
    """Write a kernel where `stored` finds it, whole or not at all; False where it cannot be."""
    home = folder() / under
    head = json.dumps({"symbol": kernel.symbol, "kinds": kernel.kinds}).encode()
    rest = head + b"\n" + kernel.code
    try:
        if not home.is_dir():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(home)
        with tempfile.NamedTemporaryFile(dir=home, prefix=".", delete=False) as file:
            file.write(hashlib.sha256(rest).digest() + rest)
        Path(file.name).replace(home / f"{name}.o")
    except OSError:  # a read-only or full disk: kernels are then compiled in each process
        return False
    return True


def _tidy(newest: Path) -> None:
    """Remove what other versions and CPUs left, but for a few that were used lately."""
    others = [path for path in newest.parent.iterdir() if path.is_dir() and path != newest]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for rank, path in enumerate(others, 1):
        if rank >= _KEPT_KEYS or time.time() - path.stat().st_mtime > _KEPT_S:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(status: os.stat_result) -> bool:
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid in (os.geteuid(), 0) and not others_write
