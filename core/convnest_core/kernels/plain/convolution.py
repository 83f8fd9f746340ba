"""Convolution as one matrix product: Y = X_col · W, in tiles that stay in the L2 cache.

X_col has one row for each output pixel and one column for each weight of a filter ("im2col";
Chellapilla, Puri, Simard 2006). A last column of ones takes the bias into the same product, and in
the backward pass the same column gives the bias gradient: [dW; db] = [X_col 1]ᵀ · dY.

Groups are convolutions side by side, each over its own slice of the channels, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch
from convnest_core.kernels.windows import inside, padded, slid, tap

from .activation import relu

_TILE_BYTES = 1 << 19  # half of a common L2 cache; the other half is for weights and output
_SPREAD_BYTES = 1 << 22  # adding by shifts wants long vectors more than it wants the L2 cache
_FEWEST_ROWS = 256  # below this a matrix product is not worth its start …
_MOST_BYTES = 1 << 26  # … unless the filters are enormous
_SHORT_RUN = 8  # contiguous values below which copying windows one by one is slow
_FEW_CHANNELS = 16


class _Tile(NamedTuple):
    """Images first … last-1, output rows top … bottom-1 (all rows unless it is one image)."""

    first: int
    last: int
    top: int
    bottom: int


class _Group(NamedTuple):
    """The channels of one group, coming in and going out."""

    inputs: slice
    outputs: slice


def convolve(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    rectify: bool = False,
) -> Array:
    """Cross-correlate x [N, H, W, C] with w [kh, kw, C/groups, O] and add b [O]: y [N, H', W', O].

    A window's taps lie `dilation` places apart. With `rectify` it is max(y, 0).
    """
    size = x.shape[1], x.shape[2]
    kernel = w.shape[0], w.shape[1]
    height, width = slid(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    y = np.empty((len(x), height, width, w.shape[3]), x.dtype)
    x = np.ascontiguousarray(padded(x, padding))
    for group in _groups(w, groups):
        part = w[..., group.outputs]
        weights = part.reshape(-1, part.shape[3])
        if b is not None:
            weights = np.concatenate([weights, b[None, group.outputs]])
        inputs, outputs = x[..., group.inputs], y[..., group.outputs]
        for tile in _tiles(outputs, len(weights)):
            columns = _columns(
                inputs, part, tile, width, stride=stride, dilation=dilation, bias=b is not None
            )
            np.matmul(columns, weights, out=_rows(outputs, tile))
    return relu(y) if rectify else y


def convolve_backward(
    x: Array,
    w: Array,
    dy: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    bias: bool,
    input_gradient: bool,
    weight_gradient: bool = True,
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of `convolve` at x, w for dy [N, H', W', O]; X_col is built again, not kept."""
    size = x.shape[1], x.shape[2]
    dy = np.ascontiguousarray(dy)
    dw = db = dx = None
    if weight_gradient:
        x_padded = np.ascontiguousarray(padded(x, padding))
        dw = np.empty_like(w)
        db = np.empty(w.shape[3], w.dtype) if bias else None
        for group in _groups(w, groups):
            summed = _summed(
                x_padded[..., group.inputs],
                w[..., group.outputs],
                dy[..., group.outputs],
                stride=stride,
                dilation=dilation,
                bias=bias,
            )
            if db is not None:
                db[group.outputs] = summed[-1]
                summed = summed[:-1]
            dw[..., group.outputs] = summed.reshape(w[..., group.outputs].shape)
        del x_padded
    if input_gradient:
        n, tall, wide, c = x.shape
        spread = np.zeros((n, tall + 2 * padding[0], wide + 2 * padding[1], c), x.dtype)
        image_bytes = w[..., 0].size * spread[0, :, :, 0].size * x.itemsize
        few = w.shape[2] < _FEW_CHANNELS and image_bytes <= _SPREAD_BYTES and stride == (1, 1)
        for group in _groups(w, groups):
            into, part, given = (
                spread[..., group.inputs],
                w[..., group.outputs],
                dy[..., group.outputs],
            )
            if few:
                _spread_by_shifts(into, part, given, dilation=dilation)
            else:
                _spread(into, part, given, stride=stride, dilation=dilation)
        dx = np.ascontiguousarray(inside(spread, size, padding))
    return dx, dw, db


def _groups(w: Array, groups: int) -> list[_Group]:
    inputs, outputs = w.shape[2], w.shape[3] // groups
    return [
        _Group(slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs))
        for g in range(groups)
    ]


def _tiles(y: Array, depth: int) -> Iterator[_Tile]:
    """Tiles of y whose columns fill `_TILE_BYTES`: of whole images, or of rows of one image."""
    n, height, width, _ = y.shape
    row_bytes = depth * y.itemsize
    pixels = max(1, _TILE_BYTES // row_bytes, min(_FEWEST_ROWS, _MOST_BYTES // row_bytes))
    images = pixels // (height * width)
    if images:
        for first in range(0, n, images):
            yield _Tile(first, min(first + images, n), 0, height)
        return
    rows = max(1, pixels // width)
    for image in range(n):
        for top in range(0, height, rows):
            yield _Tile(image, image + 1, top, min(top + rows, height))


def _rows(y: Array, tile: _Tile) -> Array:
    """The tile's part of y [N, H', W', O] as a matrix view, one row a pixel."""
    part = y[tile.first : tile.last, tile.top : tile.bottom]
    return part.reshape(-1, y.shape[3], copy=False)


def _summed(x: Array, w: Array, dy: Array, *, stride: Pair, dilation: Pair, bias: bool) -> Array:
    """[dW; db] = [X_col 1]ᵀ · dY as a matrix, summed over the tiles; x is padded."""
    total = np.zeros((w[..., 0].size + bias, w.shape[3]), x.dtype)
    for tile in _tiles(dy, len(total)):
        columns = _columns(x, w, tile, dy.shape[2], stride=stride, dilation=dilation, bias=bias)
        total += np.matmul(columns.T, _rows(dy, tile))
    return total


def _columns(
    x: Array, w: Array, tile: _Tile, width: int, *, stride: Pair, dilation: Pair, bias: bool
) -> Array:
    """[X_col 1] of one tile, in scratch memory: one row a pixel, one column a weight."""
    kh, kw, c, _ = w.shape
    n, height = tile.last - tile.first, tile.bottom - tile.top
    sy, sx = stride
    image, row, column, value = x.strides
    windows = as_strided(
        x[tile.first, tile.top * sy :],
        (n, height, width, kh, kw, c),
        (image, row * sy, column * sx, row * dilation[0], column * dilation[1], value),
        writeable=False,
    )
    pixels, depth = n * height * width, kh * kw * c
    if kw * c >= _SHORT_RUN:
        columns = scratch("columns", (pixels, depth + bias), x.dtype)
        out = columns[:, :depth].reshape(windows.shape)
        out[...] = windows
        columns[:, depth:] = 1
        return columns
    # So few values lie together in a window that whole planes are copied instead, tap by tap.
    planes = scratch("columns", (depth + bias, pixels), x.dtype)
    out = planes[:depth].reshape(kh, kw, c, n, height, width)
    out[...] = windows.transpose(3, 4, 5, 0, 1, 2)
    planes[depth:] = 1
    return planes.T


def _spread(dx: Array, w: Array, dy: Array, *, stride: Pair, dilation: Pair) -> None:
    """To dX, padding included, add each row of dX_col = dY · Wᵀ where its window lay."""
    kh, kw, c, _ = w.shape
    sy, sx = stride
    width = dy.shape[2]
    weights = w.reshape(kh * kw * c, -1).T
    for tile in _tiles(dy, kh * kw * c):
        rows = _rows(dy, tile)
        columns = scratch("columns", (len(rows), kh * kw * c), dx.dtype)
        np.matmul(rows, weights, out=columns)
        n, height = tile.last - tile.first, tile.bottom - tile.top
        windows = columns.reshape(n, height, width, kh, kw, c)
        part = dx[tile.first : tile.last, tile.top * sy :]
        for i in range(kh):
            for j in range(kw):
                rows_of_tap = tap(i * dilation[0], height, sy)
                part[:, rows_of_tap, tap(j * dilation[1], width, sx)] += windows[:, :, :, i, j]


def _spread_by_shifts(dx: Array, w: Array, dy: Array, *, dilation: Pair) -> None:
    """`_spread` for stride 1 and few channels, where adding window by window would crawl.

    dY's rows are made as long as x's, so that one tap moves all of an image's pixels by the same
    distance in memory, and adding is one long vector operation for each channel and image.
    """
    kh, kw, c, filters = w.shape
    _, height, width, _ = dy.shape
    total, tall, wide, _ = dx.shape
    run = (height - 1) * wide + width  # from an image's first pixel of dY to its last
    weights = w.reshape(kh * kw * c, filters)
    images = max(1, _SPREAD_BYTES // (kh * kw * c * height * wide * dx.itemsize))
    for first in range(0, total, images):
        n = min(images, total - first)
        laid = scratch("laid", (n, height, wide, filters), dx.dtype)
        laid[:, :, :width] = dy[first : first + n]
        laid[:, :, width:] = 0
        pixels = n * height * wide
        columns = scratch("columns", (kh * kw * c, pixels), dx.dtype)
        np.matmul(weights, laid.reshape(pixels, filters).T, out=columns)
        taps = columns.reshape(kh, kw, c, n, height * wide)
        sums = scratch("sums", (c, n, tall * wide), dx.dtype)
        sums.fill(0)
        for i in range(kh):
            for j in range(kw):
                shift = i * dilation[0] * wide + j * dilation[1]
                sums[:, :, shift : shift + run] += taps[i, j, :, :, :run]
        dx[first : first + n] = sums.reshape(c, n, tall, wide).transpose(1, 2, 3, 0)
