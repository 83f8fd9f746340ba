"""How much of the machine this process may use: control groups (1 and 2), else all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60
"""Control groups 1 write "no limit" as a number near 2^63."""


def memory_limit_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The smallest of the control groups' limits and the machine's memory."""
    limits = [machine_memory_bytes()]
    for folder in _groups("memory", proc, cgroups):
        for name in ("memory.max", "memory.limit_in_bytes"):
            value = _words(folder / name)
            if value and value[0].isdigit() and int(value[0]) < _UNLIMITED_BYTES:
                limits.append(int(value[0]))
    return min(limits)


def cpu_limit(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float:
    """The smallest of the control groups' quotas and the cores this process may run on."""
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _groups("cpu", proc, cgroups):
        quota = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and quota[0].isdigit() and int(quota[1]) > 0:
            limits.append(int(quota[0]) / int(quota[1]))
    return min(limits)


def machine_memory_bytes() -> int:
    """All of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders of this process's control group and of those around it.

    In a container the path that /proc names is often the host's and not there; the group's own
    files are then at the root, which is looked at in any case.
    """
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        group = root / path.strip("/")
        yield group
        for parent in group.parents:
            if not parent.is_relative_to(root):
                break
            yield parent


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]
