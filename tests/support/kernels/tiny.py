"""Kernels for the tests of what is around kernels: each compiles in a blink."""

from __future__ import annotations

import numpy as np
from convnest_core.kernels.simd.language import Floats, FloatsOut, get, is_given, put


def add(x: Floats, y: FloatsOut, n: int, number: float) -> None:
    """y = x + number, or number where x is left out."""
    for i in range(n):
        put(y, i, get(x, i) + number if is_given(x) else number)


def multiply(x: Floats, y: FloatsOut, n: int, number: float) -> None:
    """y = x · number"""
    for i in range(n):
        put(y, i, get(x, i) * number)


def give_up(n: int) -> None:
    """Refuses large numbers."""
    if n > 3:
        raise ValueError("too large")


def allocate(y: FloatsOut, n: int) -> None:
    """Needs Numba's memory, which is not there where a kernel is loaded."""
    scratch = np.empty(n, np.float32)
    for i in range(n):
        scratch[i] = i
    for i in range(n):
        put(y, i, scratch[n - 1 - i])
