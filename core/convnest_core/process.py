"""How a process that computes sets itself up, once, at its start."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20  # glibc refuses more
_KEPT_BYTES = 1 << 30


def single_blas_thread() -> AbstractContextManager[object]:
    """Give BLAS one thread from now on in this process; as a context manager, until its end."""
    # Imported here because it takes 20 ms and is needed once.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def keep_freed_memory() -> bool:
    """Let malloc keep up to 1 GiB of freed memory for the next step; True where that is possible.

    A training step allocates what the one before freed. By default glibc returns it to the system
    in between and takes every page anew, which costs a LeNet step a third of its time.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    set_mmap = mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES)
    return bool(set_mmap and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
