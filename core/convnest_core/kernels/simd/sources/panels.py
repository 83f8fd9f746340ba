"""Parts of matrices, copied to where a product reads them fastest.

Rows whose distance is a multiple of 2 KB share a few sets of the L1 cache, which cannot hold a tile
of them; rows of a copy lie an odd number of cache lines apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    BLOCK,
    WIDTH,
    get,
    load,
    load_part,
    part,
    put,
    reading,
    store,
    store_part,
    transpose,
)


class Matrix(NamedTuple):
    """Element (m, i) lies at first + m · row + i · step; one of the two is 1."""

    data: Any  # a span
    first: int
    row: int
    step: int


@part
def _runs(x, first, stride, runs, length, to, to_stride):
    """Copy `runs` runs of `length` elements, `stride` apart, to lie `to_stride` apart."""
    for run in range(runs):
        at, there = first + run * stride, run * to_stride
        whole = length - length % WIDTH
        for i in range(0, whole, WIDTH):
            store(to, there + i, load(x, at + i))
        if whole < length:
            left = length - whole
            store_part(to, there + whole, load_part(x, at + whole, left), left)


@part
def odd_lines(length):
    """`length`, made longer: an odd number of vectors."""
    return ((length + WIDTH - 1) // WIDTH | 1) * WIDTH


@part
def copied(x, rows, depth, block):
    """A copy in `block` of `rows` × `depth` elements."""
    if x.step == 1:
        apart = odd_lines(depth)
        _runs(x.data, x.first, x.row, rows, depth, block, apart)
        return Matrix(reading(block), 0, apart, 1)
    apart = odd_lines(rows)
    _runs(x.data, x.first, x.step, depth, rows, block, apart)
    return Matrix(reading(block), 0, 1, apart)


@part
def packed(w, depth, channels, panel):
    """`depth` rows of one block of columns, of which `channels` exist, to panel [depth, BLOCK]."""
    if w.step == 1:
        for i in range(depth):
            for o in range(0, BLOCK, WIDTH):
                there = w.first + i * w.row + o
                if channels >= o + WIDTH:
                    store(panel, i * BLOCK + o, load(w.data, there))
                else:
                    left = max(channels - o, 0)
                    store(panel, i * BLOCK + o, load_part(w.data, there, left))
        return
    for o in range(0, BLOCK, WIDTH):
        squares = depth - depth % WIDTH if channels >= o + WIDTH else 0
        for i in range(0, squares, WIDTH):
            transpose(w.data, w.first + o * w.step + i, w.step, panel, i * BLOCK + o, BLOCK)
        for column in range(o, o + WIDTH):
            for i in range(squares, depth):
                there = w.first + column * w.step + i * w.row
                value = get(w.data, there) if column < channels else get(panel, 0) * 0
                put(panel, i * BLOCK + column, value)
