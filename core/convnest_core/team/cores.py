"""How many cores this process may keep busy: its affinity, and its control groups' quotas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def available_cores(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float:
    """The smallest of the cores this process may run on and its quotas (which may be fractions)."""
    if hasattr(os, "sched_getaffinity"):
        cores = float(len(os.sched_getaffinity(0)))
    else:
        cores = float(os.cpu_count() or 1)
    return min([cores, *_quotas(proc, cgroups)])


def _quotas(proc: Path, cgroups: Path) -> Iterator[float]:
    for folder in _groups(proc, cgroups):
        # Version 2 has one file, "max 100000" or "50000 100000"; version 1 has two.
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
            yield int(words[0]) / int(words[1])


def _groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """This process's group and those around it; in a container they are often at the root."""
    for line in _words(proc / "self" / "cgroup", by="\n"):
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        group = root / path.strip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(root))


def _words(path: Path, by: str | None = None) -> list[str]:
    try:
        return path.read_text("ascii", "replace").strip().split(by)
    except OSError:
        return []
