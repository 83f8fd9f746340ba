"""Matrix products, by BLAS."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array

_TILE = 1 << 17  # values that stay in the cache until they have been added


def multiply(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    out: Array | None = None,
    rectify: bool = False,
) -> Array:
    """As `kernels.multiply`."""
    y: Array
    if out is None and w.flags.f_contiguous and 2 * len(x) <= len(w):
        # Up to 40 % quicker for few rows, as BLAS then turns x and not w.
        y = np.ascontiguousarray(np.matmul(w.T, x.T).T)
    else:
        y = np.matmul(x, w, out=out)
    if b is not None:
        y += b
    if rectify:
        np.maximum(y, np.zeros(y.shape[1], y.dtype), out=y)
    return y


def add_product(total: Array, x: Array, w: Array) -> None:
    """As `kernels.add_product`: some rows at a time, for a sum of half a gigabyte has no second."""
    step = max(1, _TILE // w.shape[1])
    for first in range(0, len(total), step):
        rows = slice(first, first + step)
        total[rows] += np.matmul(x[rows], w)
