"""What the machine, or the control group we are in, lets us use."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from convnest.stack.limits import cpu_limit, machine_memory_bytes, memory_limit_bytes

from .check import Check, ok, warning

_SMALL_MEMORY_BYTES = 2 << 30
_FEW_FILES = 1024


def machine_checks() -> Iterator[Check]:
    """Cores, memory, open files, shared memory."""
    yield _check_cores()
    yield _check_memory()
    yield _check_open_files()
    yield _check_shared_memory(Path("/dev/shm"))  # noqa: S108 - the system's own


def _check_cores() -> Check:
    usable, all_cores = cpu_limit(), os.cpu_count() or 1
    found = f"{usable:g} of {all_cores} usable"
    if usable < 1:
        return warning("cores", found, "less than one core: raise the container's CPU limit")
    return ok("cores", found)


def _check_memory() -> Check:
    usable, all_bytes = memory_limit_bytes(), machine_memory_bytes()
    limited = " (control group's limit)" if usable < all_bytes else ""
    found = f"{_gib(usable)} of {_gib(all_bytes)} usable{limited}"
    if usable < _SMALL_MEMORY_BYTES:
        return warning("memory", found, "enough for small networks; large ones need 2 to 4 GiB")
    return ok("memory", found)


def _check_open_files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_count(soft)} a process (at most {_count(hard)})"
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        return warning("open files", found, f"`ulimit -n {_FEW_FILES}` or more before convnest up")
    return ok("open files", found)


def _check_shared_memory(folder: Path) -> Check:
    if not os.access(folder, os.W_OK | os.X_OK):
        return warning(
            "shared memory", f"{folder} cannot be written", "training on several processes needs it"
        )
    status = os.statvfs(folder)
    return ok("shared memory", f"{_gib(status.f_frsize * status.f_blocks)} in {folder}")


def _count(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"
