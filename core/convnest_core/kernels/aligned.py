"""Arrays that begin at a cache line."""

from __future__ import annotations

from math import prod

import numpy as np

from convnest_core.arrays import Array, DType, Shape

_LINE_BYTES = 64  # a cache line, and the widest vector register


def empty_aligned(shape: Shape, dtype: DType) -> Array:
    """`np.empty`, but a vector that is loaded from it never lies across two cache lines.

    NumPy's own arrays begin 16 bytes after one: each load of 64 bytes then takes two accesses.
    """
    count = prod(shape)
    room = np.empty(count + _LINE_BYTES // dtype.itemsize, dtype)
    start = -room.ctypes.data % _LINE_BYTES // dtype.itemsize
    return room[start : start + count].reshape(shape)
