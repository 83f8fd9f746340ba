"""Matrix products by the generated kernel, which takes every factor as it lies in memory."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Pair, shown
from convnest_core.errors import ShapeError
from convnest_core.kernels import plain
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.scratch import scratch

from .native import Native
from .packing import BLOCK, PIXELS, blocks_of, padded

_product = Native("product", "product")

_DEPTH = 512  # along which sums stay in registers: then a panel of W leaves room for X in L2
_PANEL_VALUES = 1 << 16  # of W: a quarter
_BLOCK_VALUES = 1 << 17  # of X: half of a common L2 cache
_FEW_PRODUCTS = 1 << 19
_CONFLICT_BYTES = 4096  # rows so far apart all begin in one set of a common L1 cache


def product(
    x: Array,
    w: Array,
    y: Array,
    *,
    bias: Array | None = None,
    residual: Array | None = None,
    rectified: bool = False,
) -> None:
    """y [rows, filters] = activation(x · w + bias + residual).

    x [rows, depth] and w [depth, filters] may lie transposed; or w is `packed` [blocks, depth,
    BLOCK], and `bias` then `padded`. `residual` may be y itself.
    """
    (rows, depth), filters = x.shape, y.shape[1]
    is_packed = w.ndim == 3
    _check(x, w, y, residual)
    if not is_packed:
        w = _along_an_axis(w)
        bias = None if bias is None else padded(bias)
    if bias is not None and bias.shape != (blocks_of(filters) * BLOCK,):
        raise ShapeError(f"the bias must be padded to whole blocks, got {shown(bias.shape)}")
    x = _along_an_axis(x)
    x_row, x_step = _strides(x)
    deep, wide = depth, filters
    if rows > PIXELS or not is_packed:
        deep = -(-depth // -(-depth // _DEPTH))
    if not is_packed:
        wide = min(blocks_of(filters), max(1, _PANEL_VALUES // (deep * BLOCK))) * BLOCK
    # A block of X, or where the depth is smaller than the width, of Y stays in the cache.
    widest = max(deep, filters) if is_packed or wide >= filters else deep
    together = max(1, _BLOCK_VALUES // widest // PIXELS) * PIXELS
    copied = rows > PIXELS and max(x_row, x_step) * x.itemsize % _CONFLICT_BYTES == 0
    room = (min(rows, together) + BLOCK) * (deep + BLOCK)
    _product(
        x,
        w,
        bias,
        residual,
        y,
        scratch("product.rows", (room,), x.dtype) if copied else None,
        None if is_packed else scratch("product.panel", (deep * wide,), x.dtype),
        rows,
        depth,
        filters,
        x_row,
        x_step,
        *((0, 0) if is_packed else _strides(w)),
        0 if residual is None else _strides(residual)[0],
        _strides(y)[0],
        int(rectified),
        together,
        deep,
        wide,
    )


def multiply(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    out: Array | None = None,
    rectify: bool = False,
) -> Array:
    """As `kernels.multiply`."""
    if _suits_blas(x, w):
        return plain.multiply(x, w, b, out=out, rectify=rectify)
    y = empty_aligned((x.shape[0], w.shape[1]), x.dtype) if out is None else out
    product(x, w, y, bias=b, rectified=rectify)
    return y


def add_product(total: Array, x: Array, w: Array) -> None:
    """As `kernels.add_product`."""
    if _suits_blas(x, w):
        plain.add_product(total, x, w)
    else:
        product(x, w, total, residual=total)


def _suits_blas(x: Array, w: Array) -> bool:
    """Whether BLAS is done before W would be packed: of one row, of few values, or half a block."""
    rows, columns = len(x), w.shape[1]
    return rows == 1 or 2 * columns < BLOCK or x.size * columns < _FEW_PRODUCTS


def _check(x: Array, w: Array, y: Array, residual: Array | None) -> None:
    (rows, depth), filters = x.shape, y.shape[1]
    given = (blocks_of(filters), depth, BLOCK) if w.ndim == 3 else (depth, filters)
    if not rows or not depth or not filters:
        raise ShapeError(f"{shown(x.shape)} times {shown(w.shape)} has no values")
    if y.shape[0] != rows or w.shape != given:
        raise ShapeError(f"{shown(x.shape)} times {shown(w.shape)} is not {shown(y.shape)}")
    for written in (y, residual):
        if written is None:
            continue
        if written.shape != y.shape or _strides(written)[1] != 1:
            raise ShapeError(f"a residual must be like the product, got {shown(written.shape)}")


def _along_an_axis(matrix: Array) -> Array:
    """The matrix, or a copy of one of which neither rows nor columns lie together in memory."""
    strides = _strides(matrix)
    return matrix if 1 in strides and min(strides) > 0 else np.ascontiguousarray(matrix)


def _strides(matrix: Array) -> Pair:
    """From row to row and from column to column, in elements.

    What an axis of one place has for a stride says nothing, so it is 1.
    """
    (rows, columns), (row, column) = matrix.shape, matrix.strides
    size = matrix.itemsize
    return row // size if rows > 1 else 1, column // size if columns > 1 else 1
