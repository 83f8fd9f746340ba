"""Parts of matrices, copied to where a product reads them fastest.

Rows whose distance is a multiple of 2 KB share a few sets of the L1 cache, which cannot hold a tile
of them; rows of a copy lie an odd number of cache lines apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

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

_ZERO = np.float32(0)


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
def packed(w, depth, columns, panel):
    """`depth` rows of so many columns to panel [blocks, depth, BLOCK], zero beyond them."""
    blocks = (columns + BLOCK - 1) // BLOCK
    if w.step == 1:
        for i in range(depth):  # a row of W at a time: memory likes long runs
            for block in range(blocks):
                for o in range(0, BLOCK, WIDTH):
                    c = block * BLOCK + o
                    there, to = w.first + i * w.row + c, (block * depth + i) * BLOCK + o
                    if columns >= c + WIDTH:
                        store(panel, to, load(w.data, there))
                    else:
                        store(panel, to, load_part(w.data, there, max(columns - c, 0)))
        return
    for c in range(0, blocks * BLOCK, WIDTH):
        to = c // BLOCK * depth * BLOCK + c % BLOCK
        squares = depth - depth % WIDTH if columns >= c + WIDTH else 0
        for i in range(0, squares, WIDTH):
            transpose(w.data, w.first + c * w.step + i, w.step, panel, to + i * BLOCK, BLOCK)
        for lane in range(WIDTH):
            for i in range(squares, depth):
                value = _ZERO
                if c + lane < columns:
                    value = get(w.data, w.first + (c + lane) * w.step + i)
                put(panel, to + i * BLOCK + lane, value)
