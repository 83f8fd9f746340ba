"""1×1 convolutions and their gradients: products of matrices that have a row for each pixel.

With Y = X · W: dX = dY · Wᵀ and dW = Xᵀ · dY. A stride leaves some of the pixels, and X shrinks to
them first.
"""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels import plain
from convnest_core.kernels.aligned import empty_aligned

from .products import multiply, product


def convolve(x: Array, w: Array, b: Array | None, *, stride: Pair, rectify: bool = False) -> Array:
    """As `kernels.convolve`, for w [1, 1, C, O] without padding."""
    seen = x[:, :: stride[0], :: stride[1]]
    y = multiply(_matrix(seen), w[0, 0], b, rectify=rectify)
    return y.reshape(*seen.shape[:3], w.shape[3])


def input_gradient(dy: Array, w: Array, *, size: Pair, stride: Pair) -> Array:
    """dx [N, *size, C] for dy [N, H', W', O]."""
    n, height, width, _ = dy.shape
    channels = w.shape[2]
    seen = empty_aligned((n, height, width, channels), dy.dtype)
    product(_matrix(dy), w[0, 0].T, _matrix(seen))
    if stride == (1, 1):
        return seen
    dx = np.zeros((n, *size, channels), dy.dtype)
    dx[:, :: stride[0], :: stride[1]] = seen
    return dx


def weight_gradient(x: Array, dy: Array, *, stride: Pair, bias: bool) -> tuple[Array, Array | None]:
    """dw [1, 1, C, O] and, with a bias, db [O]."""
    seen, rows = _matrix(x[:, :: stride[0], :: stride[1]]), _matrix(dy)
    dw = multiply(seen.T, rows)
    return dw.reshape(1, 1, *dw.shape), plain.column_sums(rows) if bias else None


def _matrix(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
