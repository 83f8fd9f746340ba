"""Normalisation across neighbouring channels: y = x · d⁻ᵝ with d = k + α/n · Σ x².

The sum over n neighbours is a product with a band of ones [C, C]: as a matrix product it is quicker
than n shifted additions, and its transpose is the backward pass.
"""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.windows import image_tiles

_TILE_BYTES = 1 << 18


def response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    """y of x [..., C]; channel c sums over the channels c - ⌊n/2⌋ … c + ⌊(n-1)/2⌋ that exist."""
    band = _band(x.shape[-1], size, x) * (alpha / size)
    flat = x.reshape(-1, x.shape[-1])
    y = np.empty_like(flat)
    for part in image_tiles(flat.shape, flat.itemsize, _TILE_BYTES):
        values = flat[part]
        np.multiply(values, _power(np.square(values) @ band + k, -beta), out=y[part])
    return y.reshape(x.shape)


def response_norm_backward(
    x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float
) -> Array:
    """dx = dy · d⁻ᵝ - 2αβ/n · x · Σ dy · x · d⁻ᵝ⁻¹, summed over the channels that x went into."""
    band = _band(x.shape[-1], size, x) * (alpha / size)
    flat, dflat = x.reshape(-1, x.shape[-1]), dy.reshape(-1, x.shape[-1])
    dx = np.empty_like(flat)
    for part in image_tiles(flat.shape, flat.itemsize, _TILE_BYTES):
        values = flat[part]
        base = np.square(values) @ band + k
        direct = dflat[part] * _power(base, -beta)
        shared = (direct * values / base) @ band.T
        np.subtract(direct, (2.0 * beta) * values * shared, out=dx[part])
    return dx.reshape(x.shape)


def _band(channels: int, size: int, like: Array) -> Array:
    """[C, C]: one where the row's channel belongs to the sum of the column's."""
    offset = np.subtract.outer(np.arange(channels), np.arange(channels))
    return ((offset >= -(size // 2)) & (offset <= (size - 1) // 2)).astype(like.dtype)


def _power(base: Array, exponent: float) -> Array:
    result: Array = np.power(base, exponent)
    return result
