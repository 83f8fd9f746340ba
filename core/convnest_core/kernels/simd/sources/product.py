"""Y = activation(X · W + b + R): a matrix product with all that follows it, tile by tile.

Source: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    BLOCK,
    PIXELS,
    VECTORS,
    Floats,
    FloatsOut,
    is_given,
    part,
    tile,
)


class Rows(NamedTuple):
    """Rows of a matrix in memory: the first one's place, and the distance to the next."""

    data: Any  # a span
    first: int
    stride: int


def _rows(pixels: int) -> Any:
    """The product of `pixels` rows of X with one block of W's columns."""
    acc = tile(pixels, VECTORS)

    @part
    def rows(x, w, w0, depth, b, b0, r, rectified, y, channels):
        sums = acc.zero()
        for i in range(depth):
            sums = acc.grow(sums, x.data, x.first + i, x.stride, w, w0 + i * BLOCK)
        if is_given(b):
            sums = acc.add_vector(sums, b, b0)
        if is_given(r.data):
            if channels >= BLOCK:
                sums = acc.add(sums, r.data, r.first, r.stride)
            else:
                sums = acc.add_part(sums, r.data, r.first, r.stride, channels)
        if rectified:
            sums = acc.rectify(sums)
        if channels >= BLOCK:
            acc.store(sums, y.data, y.first, y.stride)
        else:
            acc.store_part(sums, y.data, y.first, y.stride, channels)

    return rows


_FEW = 4
_many, _few, _one = _rows(PIXELS), _rows(_FEW), _rows(1)


def product(
    x: Floats,
    w: Floats,
    b: Floats,
    r: Floats,
    y: FloatsOut,
    rows: int,
    depth: int,
    filters: int,
    x_stride: int,
    r_stride: int,
    y_stride: int,
    rectified: int,
) -> None:
    """x [rows, depth] · w [blocks, depth, BLOCK] (+ b + r) to y [rows, filters]."""
    for c in range(0, filters, BLOCK):
        row = 0
        while row < rows:
            xs = Rows(x, row * x_stride, x_stride)
            rs = Rows(r, row * r_stride + c, r_stride)
            ys = Rows(y, row * y_stride + c, y_stride)
            if row + PIXELS <= rows:
                _many(xs, w, c * depth, depth, b, c, rs, rectified, ys, filters - c)
                row += PIXELS
            elif row + _FEW <= rows:
                _few(xs, w, c * depth, depth, b, c, rs, rectified, ys, filters - c)
                row += _FEW
            else:
                _one(xs, w, c * depth, depth, b, c, rs, rectified, ys, filters - c)
                row += 1
