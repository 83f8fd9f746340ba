"""Convolution as one matrix product: Y = X_col · W, in tiles that stay in the L2 cache.

X_col has one row for each output pixel and one column for each weight of a filter ("im2col";
Chellapilla, Puri, Simard 2006). A last column of ones takes the bias into the same product, and in
the backward pass the same column gives the bias gradient: [dW; db] = [X_col 1]ᵀ · dY.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convnest_core.arrays import Array, Pair

from .scratch import scratch
from .windows import padded, slid, tap, unpadded

_TILE_BYTES = 1 << 19  # half of a common L2 cache; the other half is for weights and output
_SPREAD_BYTES = 1 << 22  # adding by shifts wants long vectors more than it wants the L2 cache
_FEWEST_ROWS = 256  # below this a matrix product is not worth its start …
_MOST_BYTES = 1 << 26  # … unless the filters are enormous
_SHORT_RUN = 8  # contiguous values below which copying windows one by one is slow
_FEW_CHANNELS = 16


class Gradients(NamedTuple):
    """What `convolve_backward` returns; dx and db are None where they were not asked for."""

    dx: Array | None
    dw: Array
    db: Array | None


class _Tile(NamedTuple):
    """Images first … last-1, output rows top … bottom-1 (all rows unless it is one image)."""

    first: int
    last: int
    top: int
    bottom: int


def convolve(x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair) -> Array:
    """Cross-correlate x [N, H, W, C] with w [kh, kw, C, O] and add b [O]: y [N, H', W', O]."""
    kh, kw, _, channels = w.shape
    height, width = slid(x.shape[1:3], kernel=(kh, kw), stride=stride, padding=padding)
    y = np.empty((len(x), height, width, channels), x.dtype)
    weights = w.reshape(-1, channels)
    if b is not None:
        weights = np.concatenate([weights, b[None]])
    x = np.ascontiguousarray(padded(x, padding))
    for tile in _tiles(y, len(weights)):
        columns = _columns(x, w, tile, width, stride=stride, bias=b is not None)
        np.matmul(columns, weights, out=_rows(y, tile))
    return y


def convolve_backward(
    x: Array,
    w: Array,
    dy: Array,
    *,
    stride: Pair,
    padding: Pair,
    bias: bool,
    input_gradient: bool,
) -> Gradients:
    """The gradients of `convolve` at x, w for dy [N, H', W', O]; X_col is built again, not kept."""
    channels = w.shape[3]
    weights = w.reshape(-1, channels)
    dw = np.zeros((len(weights) + bias, channels), x.dtype)
    dy = np.ascontiguousarray(dy)
    x = np.ascontiguousarray(padded(x, padding))
    for tile in _tiles(dy, len(dw)):
        columns = _columns(x, w, tile, dy.shape[2], stride=stride, bias=bias)
        dw += np.matmul(columns.T, _rows(dy, tile))
    dx = None
    if input_gradient:
        image_bytes = w[..., 0].size * x[0, :, :, 0].size * x.itemsize
        few = w.shape[2] < _FEW_CHANNELS and image_bytes <= _SPREAD_BYTES and stride == (1, 1)
        spread = _spread_by_shifts(x, w, dy) if few else _spread(x, w, dy, stride)
        dx = np.ascontiguousarray(unpadded(spread, padding))
    return Gradients(dx, dw[: len(weights)].reshape(w.shape), dw[-1] if bias else None)


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
    return part.reshape(-1, y.shape[3])


def _columns(x: Array, w: Array, tile: _Tile, width: int, *, stride: Pair, bias: bool) -> Array:
    """[X_col 1] of one tile, in scratch memory: one row a pixel, one column a weight."""
    kh, kw, c, _ = w.shape
    n, height = tile.last - tile.first, tile.bottom - tile.top
    sy, sx = stride
    image, row, column, value = x.strides
    windows = as_strided(
        x[tile.first, tile.top * sy :],
        (n, height, width, kh, kw, c),
        (image, row * sy, column * sx, row, column, value),
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


def _spread(x: Array, w: Array, dy: Array, stride: Pair) -> Array:
    """dX, padding included: each row of dX_col = dY · Wᵀ is added where its window lay."""
    kh, kw, c, _ = w.shape
    sy, sx = stride
    width = dy.shape[2]
    weights = w.reshape(kh * kw * c, -1).T
    dx = np.zeros_like(x)
    for tile in _tiles(dy, kh * kw * c):
        rows = _rows(dy, tile)
        columns = scratch("columns", (len(rows), kh * kw * c), x.dtype)
        np.matmul(rows, weights, out=columns)
        n, height = tile.last - tile.first, tile.bottom - tile.top
        windows = columns.reshape(n, height, width, kh, kw, c)
        part = dx[tile.first : tile.last, tile.top * sy :]
        for i in range(kh):
            for j in range(kw):
                part[:, tap(i, height, sy), tap(j, width, sx)] += windows[:, :, :, i, j]
    return dx


def _spread_by_shifts(x: Array, w: Array, dy: Array) -> Array:
    """`_spread` for stride 1 and few channels, where adding window by window would crawl.

    dY's rows are made as long as x's, so that one tap moves all of an image's pixels by the same
    distance in memory, and adding is one long vector operation for each channel and image.
    """
    kh, kw, c, filters = w.shape
    _, height, width, _ = dy.shape
    _, tall, wide, _ = x.shape
    run = (height - 1) * wide + width  # from an image's first pixel of dY to its last
    weights = w.reshape(kh * kw * c, filters)
    dx = np.empty_like(x)
    images = max(1, _SPREAD_BYTES // (kh * kw * c * height * wide * x.itemsize))
    for first in range(0, len(x), images):
        n = min(images, len(x) - first)
        laid = scratch("laid", (n, height, wide, filters), x.dtype)
        laid[:, :, :width] = dy[first : first + n]
        laid[:, :, width:] = 0
        pixels = n * height * wide
        columns = scratch("columns", (kh * kw * c, pixels), x.dtype)
        np.matmul(weights, laid.reshape(pixels, filters).T, out=columns)
        taps = columns.reshape(kh, kw, c, n, height * wide)
        sums = scratch("sums", (c, n, tall * wide), x.dtype)
        sums.fill(0)
        for i in range(kh):
            for j in range(kw):
                shift = i * wide + j
                sums[:, :, shift : shift + run] += taps[i, j, :, :, :run]
        dx[first : first + n].reshape(-1, c)[...] = sums.reshape(c, -1).T
    return dx
