"""What became of a process' children."""

from collections.abc import Iterable, Sequence

import psutil

SLICE = "convnest_worker.slice"
MODEL = "convnest_worker.serving"


def descendants(pid: int) -> Sequence[psutil.Process]:
    """Every process below `pid`, now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def running_module(pid: int, module: str) -> Sequence[psutil.Process]:
    """Those below `pid` that run `python -m module`."""
    return [process for process in descendants(pid) if module in _command(process)]


def still_there(processes: Iterable[psutil.Process]) -> Sequence[psutil.Process]:
    """Those of `processes` that have not ended; one that only waits to be reaped has."""
    return [process for process in processes if not _has_ended(process)]


def _command(process: psutil.Process) -> Sequence[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
