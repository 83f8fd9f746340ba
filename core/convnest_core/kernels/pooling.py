"""Pooling in two steps, first over rows, then over columns: k + k operations instead of k · k.

Where several values of a window are its largest, exactly one of them receives the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convnest_core.arrays import Array, Pair

from .windows import padded, slid, tap, unpadded


def max_pool(x: Array, *, kernel: Pair, stride: Pair, padding: Pair) -> tuple[Array, Array]:
    """The largest value of each window of x [N, H, W, C]; padding never wins.

    Returns y [N, H', W', C] and the largest of each window's column [N, H', W + 2p, C], which the
    backward pass reads.
    """
    height, width = slid(x.shape[1:3], kernel=kernel, stride=stride, padding=padding)
    x = padded(x, padding, value=-np.inf)
    rows = _largest([x[:, tap(i, height, stride[0])] for i in range(kernel[0])])
    y = _largest([rows[:, :, tap(j, width, stride[1])] for j in range(kernel[1])])
    return y, rows


def max_pool_backward(
    x: Array, rows: Array, y: Array, dy: Array, *, kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx of `max_pool`, from its input and both its results."""
    _, height, width, _ = y.shape
    x = padded(x, padding, value=-np.inf)
    drows = np.zeros_like(rows)
    columns = [(slice(None), slice(None), tap(j, width, stride[1])) for j in range(kernel[1])]
    _to_the_largest(rows, y, dy, into=drows, taps=columns, apart=stride[1] >= kernel[1])
    dx = np.zeros_like(x)
    lines = [(slice(None), tap(i, height, stride[0])) for i in range(kernel[0])]
    _to_the_largest(x, rows, drows, into=dx, taps=lines, apart=stride[0] >= kernel[0])
    return np.ascontiguousarray(unpadded(dx, padding))


def average_pool(x: Array, *, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """The mean of each window of x [N, H, W, C]; padding counts as zeros."""
    height, width = slid(x.shape[1:3], kernel=kernel, stride=stride, padding=padding)
    x = padded(x, padding)
    rows = _total([x[:, tap(i, height, stride[0])] for i in range(kernel[0])])
    y = _total([rows[:, :, tap(j, width, stride[1])] for j in range(kernel[1])])
    return np.multiply(y, 1.0 / (kernel[0] * kernel[1]), out=y)


def average_pool_backward(
    dy: Array, size: Pair, *, kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx of `average_pool` for an input of `size` (height, width)."""
    n, height, width, c = dy.shape
    tall, wide = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    share = dy * (1.0 / (kernel[0] * kernel[1]))
    drows = np.zeros((n, height, wide, c), dy.dtype)
    for j in range(kernel[1]):
        drows[:, :, tap(j, width, stride[1])] += share
    dx = np.zeros((n, tall, wide, c), dy.dtype)
    for i in range(kernel[0]):
        dx[:, tap(i, height, stride[0])] += drows
    return np.ascontiguousarray(unpadded(dx, padding))


def _largest(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return np.array(parts[0], order="C")
    out: Array = np.maximum(parts[0], parts[1])
    for part in parts[2:]:
        np.maximum(out, part, out=out)
    return out


def _total(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return np.array(parts[0], order="C")
    out: Array = np.add(parts[0], parts[1])
    for part in parts[2:]:
        out += part
    return out


def _to_the_largest(
    x: Array,
    top: Array,
    dtop: Array,
    *,
    into: Array,
    taps: Sequence[tuple[slice, ...]],
    apart: bool,
) -> None:
    """Add dtop to the first tap of `into` at which x equals `top`, value by value.

    Where windows lie apart, every place of `into` is met once, and writing will do.
    """
    left = dtop
    for at in taps[:-1]:
        if apart:
            taken = np.multiply(left, x[at] == top, out=into[at])
        else:
            taken = np.multiply(left, x[at] == top)
            into[at] += taken
        left = left - taken
    if apart:
        into[taps[-1]] = left
    else:
        into[taps[-1]] += left
