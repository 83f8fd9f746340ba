"""Y = activation(X · W + b + R): a matrix product with all that follows it, tile by tile.

The loops, from outside: a stretch of the depth; a block of X's rows that stays in the L2 cache for
that stretch; some of W's columns, packed into the L2 cache where they are not packed already; one
block of these, which streams into the L1 cache; tiles of rows, whose sums are held in registers
along the stretch. Between stretches the sums wait in Y.
Bias and residual are what they begin with, so Y and R may be the same memory.

Both factors may lie transposed, which makes the products of a gradient: dX = dY · Wᵀ, dW = Xᵀ · dY.

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
    inlined,
    is_given,
    part,
    reading,
    strip,
    tile,
)
from convnest_core.kernels.simd.sources.panels import Matrix, copied, packed


class Rows(NamedTuple):
    """Rows of a matrix in memory: the first one's place, and the distance to the next."""

    data: Any  # a span
    first: int
    stride: int


_together = strip(VECTORS)
_alone = tile(1, VECTORS)


@inlined
def _grown_alone(x, w, w0, depth):
    """One row's sums, in four parts: each multiply-add waits for the one before it in its part."""
    one, two, three, four = _alone.zero(), _alone.zero(), _alone.zero(), _alone.zero()
    whole = depth - depth % 4
    for i in range(0, whole, 4):
        at, there = x.first + i * x.step, w0 + i * BLOCK
        one = _alone.grow(one, x.data, at, 0, w, there)
        two = _alone.grow(two, x.data, at + x.step, 0, w, there + BLOCK)
        three = _alone.grow(three, x.data, at + 2 * x.step, 0, w, there + 2 * BLOCK)
        four = _alone.grow(four, x.data, at + 3 * x.step, 0, w, there + 3 * BLOCK)
    for i in range(whole, depth):
        one = _alone.grow(one, x.data, x.first + i * x.step, 0, w, w0 + i * BLOCK)
    return _together.plus(_together.plus(one, two), _together.plus(three, four))


def _grown(pixels: int) -> Any:
    acc = tile(pixels, VECTORS)

    @inlined
    def grown(x, w, w0, depth):
        sums = acc.zero()
        at = x.first
        for i in range(depth):
            sums = acc.grow(sums, x.data, at, x.row, w, w0 + i * BLOCK)
            at += x.step
        return sums

    return grown


def _rows(pixels: int) -> Any:
    """The product of `pixels` rows of X with one block of W's columns, along a stretch."""
    acc, grown = tile(pixels, VECTORS), _grown_alone if pixels == 1 else _grown(pixels)

    @part
    def rows(x, w, w0, depth, b, b0, r, rectified, y, channels):
        sums = grown(x, w, w0, depth)
        if b0 >= 0:
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


_HALF, _QUARTER = PIXELS // 2, max(1, PIXELS // 4)
_full, _half, _quarter, _one = _rows(PIXELS), _rows(_HALF), _rows(_QUARTER), _rows(1)


@part
def _column(x, rows, w, w0, depth, b, b0, r, rectified, y, channels):
    """`rows` rows with one block of W's columns."""
    row = 0
    while row < rows:
        left = rows - row
        xs = Matrix(x.data, x.first + row * x.row, x.row, x.step)
        rs = Rows(r.data, r.first + row * r.stride, r.stride)
        ys = Rows(y.data, y.first + row * y.stride, y.stride)
        if left >= PIXELS:
            _full(xs, w, w0, depth, b, b0, rs, rectified, ys, channels)
            row += PIXELS
        elif left >= _HALF:
            _half(xs, w, w0, depth, b, b0, rs, rectified, ys, channels)
            row += _HALF
        elif left >= _QUARTER:
            _quarter(xs, w, w0, depth, b, b0, rs, rectified, ys, channels)
            row += _QUARTER
        else:
            _one(xs, w, w0, depth, b, b0, rs, rectified, ys, channels)
            row += 1


def product(
    x: Floats,
    w: Floats,
    b: Floats,
    r: Floats,
    y: FloatsOut,
    block: FloatsOut,
    panel: FloatsOut,
    rows: int,
    depth: int,
    filters: int,
    x_row: int,
    x_step: int,
    w_step: int,
    w_column: int,
    r_stride: int,
    y_stride: int,
    rectified: int,
    rows_together: int,
    depth_together: int,
    filters_together: int,
) -> None:
    """x [rows, depth] · w [depth, filters] + b + r to y [rows, filters].

    Element (m, i) of X lies at m · x_row + i · x_step; into `block`, where it is given, X is
    copied block by block. Element (i, o) of W lies at i · w_step + o · w_column and is packed into
    `panel`, `filters_together` at a time, whole blocks; without one, W is packed already: [blocks,
    depth, BLOCK]. b is zero beyond `filters`,
    to whole blocks.
    """
    for d in range(0, depth, depth_together):
        deep = min(depth_together, depth - d)
        for m in range(0, rows, rows_together):
            many = min(rows_together, rows - m)
            xs = Matrix(x, m * x_row + d * x_step, x_row, x_step)
            if is_given(block):
                xs = copied(xs, many, deep, block)
            for c in range(0, filters, filters_together):
                wide = min(filters_together, filters - c)
                ws, w0, apart = w, d * BLOCK + c * depth, depth
                if is_given(panel):
                    if m == 0 or wide < filters:  # else it is there from the last rows
                        part_of_w = Matrix(w, d * w_step + c * w_column, w_step, w_column)
                        packed(part_of_w, deep, wide, panel)
                    ws, w0, apart = reading(panel), 0, deep
                for o in range(0, wide, BLOCK):
                    rs, b0 = Rows(r, m * r_stride + c + o, r_stride), c + o if is_given(b) else -1
                    if d > 0:
                        rs, b0 = Rows(reading(y), m * y_stride + c + o, y_stride), -1
                    ys = Rows(y, m * y_stride + c + o, y_stride)
                    rectify = rectified if d + deep == depth else 0
                    _column(xs, many, ws, w0 + o * apart, deep, b, b0, rs, rectify, ys, wide - o)
