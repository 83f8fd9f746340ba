"""The disk under the data directory."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .check import Check, ok, problem, warning

_LITTLE_BYTES = 2 << 30
_NOTHING_BYTES = 200 << 20
_SLOW_SYNC_MS = 20.0
_SYNCS = 7


def disk_checks(data_dir: Path) -> Iterator[Check]:
    """Free space, and whether and how fast a write reaches the disk. Nothing is created."""
    folder = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    yield _check_space(data_dir, folder)
    yield _check_sync(data_dir, folder)


def _check_space(data_dir: Path, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / (1 << 30):.1f} GiB free for {data_dir}"
    advice = "free some space, or choose another --data-dir"
    if free < _NOTHING_BYTES:
        return problem("disk", found, advice)
    return warning("disk", found, advice) if free < _LITTLE_BYTES else ok("disk", found)


def _check_sync(data_dir: Path, folder: Path) -> Check:
    name = "data directory"
    taken_ms = []
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            for _ in range(_SYNCS):
                started = time.perf_counter()
                probe.write(b"a record of a job")
                os.fsync(probe.fileno())
                taken_ms.append(1e3 * (time.perf_counter() - started))
    except OSError as error:
        return problem(
            name, f"{data_dir} cannot be written: {error.strerror}", "choose another --data-dir"
        )
    sync_ms = statistics.median(taken_ms)
    there = "" if folder == data_dir else " (not made yet)"
    found = f"{data_dir}{there}, writable, a synced write takes {sync_ms:.1f} ms"
    if sync_ms > _SLOW_SYNC_MS:
        return warning(name, found, "each change of a job waits so long; a local disk is faster")
    return ok(name, found)
