"""Pooling in two steps, first over rows, then over columns: k + k operations instead of k · k.

Where several values of a window are its largest, exactly one of them receives the gradient. Images
are taken in tiles that stay in the L2 cache from the first step to the last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.windows import image_tiles, inside, overhang, padded, slid, tap

_TILE_BYTES = 1 << 19


class Places(NamedTuple):
    """Where the largest values were, a byte each: all that `max_pool_backward` needs."""

    rows: npt.NDArray[np.uint8]
    """[N, H', W + padding, C]: in which of the window's rows, for each column of the image."""
    columns: npt.NDArray[np.uint8]
    """[N, H', W', C]: in which of the window's columns."""


def max_pool(x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
    """The largest value of each window of x [N, H, W, C]: y [N, H', W', C]; padding never wins."""
    height, width = slid(x.shape[1:3], kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    y = np.empty((len(x), height, width, x.shape[3]), x.dtype)
    beyond = overhang(x.shape[1:3], (height, width), kernel=kernel, stride=stride, padding=padding)
    for part in image_tiles(x.shape, x.itemsize, _TILE_BYTES):
        image = padded(x[part], padding, value=-np.inf, beyond=beyond)
        rows = _largest([image[:, tap(i, height, stride[0])] for i in range(kernel[0])])
        y[part] = _largest([rows[:, :, tap(j, width, stride[1])] for j in range(kernel[1])])
    return y


def max_pool_places(
    x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False
) -> tuple[Array, Places]:
    """`max_pool`, and where the largest values were."""
    n, tall, wide, c = x.shape
    height, width = slid((tall, wide), kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    beyond = overhang((tall, wide), (height, width), kernel=kernel, stride=stride, padding=padding)
    y = np.empty((n, height, width, c), x.dtype)
    places = Places(
        np.empty((n, height, wide + 2 * padding[1] + beyond[1], c), np.uint8),
        np.empty(y.shape, np.uint8),
    )
    for part in image_tiles(x.shape, x.itemsize, _TILE_BYTES):
        image = padded(x[part], padding, value=-np.inf, beyond=beyond)
        rows = _placed(
            [image[:, tap(i, height, stride[0])] for i in range(kernel[0])], places.rows[part]
        )
        y[part] = _placed(
            [rows[:, :, tap(j, width, stride[1])] for j in range(kernel[1])], places.columns[part]
        )
    return y, places


def max_pool_backward(
    dy: Array, places: Places, size: Pair, *, kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx of `max_pool` for an input of `size` (height, width)."""
    n, height, width, c = dy.shape
    beyond = overhang(size, (height, width), kernel=kernel, stride=stride, padding=padding)
    dx = np.empty((n, *size, c), dy.dtype)
    tall = size[0] + 2 * padding[0] + beyond[0]
    for part in image_tiles(dx.shape, dx.itemsize, _TILE_BYTES):
        rows, columns = places.rows[part], places.columns[part]
        drows = np.zeros(rows.shape, dy.dtype)
        for j in range(kernel[1]):
            at = (slice(None), slice(None), tap(j, width, stride[1]))
            _add(dy[part] * (columns == j), drows[at], once=stride[1] >= kernel[1])
        dimage = np.zeros((len(rows), tall, rows.shape[2], c), dy.dtype)
        for i in range(kernel[0]):
            line = (slice(None), tap(i, height, stride[0]))
            _add(drows * (rows == i), dimage[line], once=stride[0] >= kernel[0])
        dx[part] = inside(dimage, size, padding)
    return dx


def average_pool(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """The mean of each window of x [N, H, W, C]; padding is zero.

    With `count_padding` it counts as values of the window, but never what lies beyond it.
    """
    size = x.shape[1], x.shape[2]
    count = slid(size, kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    beyond = overhang(size, count, kernel=kernel, stride=stride, padding=padding)
    share = _shares(size, count, kernel, stride, padding, count_padding).astype(x.dtype)
    y = np.empty((len(x), *count, x.shape[3]), x.dtype)
    for part in image_tiles(x.shape, x.itemsize, _TILE_BYTES):
        image = padded(x[part], padding, beyond=beyond)
        rows = _total([image[:, tap(i, count[0], stride[0])] for i in range(kernel[0])])
        total = _total([rows[:, :, tap(j, count[1], stride[1])] for j in range(kernel[1])])
        np.multiply(total, share, out=y[part])
    return y


def average_pool_backward(
    dy: Array,
    size: Pair,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_padding: bool = True,
) -> Array:
    """dx of `average_pool` for an input of `size` (height, width)."""
    n, height, width, c = dy.shape
    count = height, width
    beyond = overhang(size, count, kernel=kernel, stride=stride, padding=padding)
    tall, wide = (s + 2 * p + b for s, p, b in zip(size, padding, beyond, strict=True))
    share = _shares(size, count, kernel, stride, padding, count_padding).astype(dy.dtype)
    dx = np.empty((n, *size, c), dy.dtype)
    for part in image_tiles(dx.shape, dx.itemsize, _TILE_BYTES):
        each = dy[part] * share
        drows = np.zeros((len(each), height, wide, c), dy.dtype)
        for j in range(kernel[1]):
            drows[:, :, tap(j, width, stride[1])] += each
        dimage = np.zeros((len(each), tall, wide, c), dy.dtype)
        for i in range(kernel[0]):
            dimage[:, tap(i, height, stride[0])] += drows
        dx[part] = inside(dimage, size, padding)
    return dx


def _shares(
    size: Pair, count: Pair, kernel: Pair, stride: Pair, padding: Pair, count_padding: bool
) -> npt.NDArray[np.float64]:
    """One over the number of values in each window: [H', W', 1]."""
    lengths = []
    for n, m, k, s, p in zip(size, count, kernel, stride, padding, strict=True):
        first = np.arange(m) * s - p
        last = np.minimum(first + k, n + p)
        if not count_padding:
            first, last = np.maximum(first, 0), np.minimum(last, n)
        lengths.append(last - first)
    return 1.0 / (lengths[0][:, None, None] * lengths[1][:, None])


def _largest(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    out: Array = np.maximum(parts[0], parts[1])
    for part in parts[2:]:
        np.maximum(out, part, out=out)
    return out


def _placed(parts: list[Array], place: npt.NDArray[np.uint8]) -> Array:
    """`_largest`, writing the first part that holds each largest value to `place`."""
    out = np.array(parts[0], order="C")
    place.fill(0)
    for number, part in enumerate(parts[1:], 1):
        # Numbers grow, so the larger one is the later one: no masked write is needed.
        later = np.greater(part, out).view(np.uint8)
        np.maximum(place, later * np.uint8(number), out=place)
        np.maximum(out, part, out=out)
    return out


def _add(values: Array, into: Array, *, once: bool) -> None:
    """Add `values`, or write them where every place of `into` is met once."""
    if once:
        into[...] = values
    else:
        into += values


def _total(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    out: Array = np.add(parts[0], parts[1])
    for part in parts[2:]:
        out += part
    return out
