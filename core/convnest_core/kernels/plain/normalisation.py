"""Batch normalisation's passes over memory, in tiles of images that stay in the cache.

Forward they are `channel_moments`, then `normalise`; backward `normalise_sums`, then
`normalise_backward`. What a team adds up over its members stands between the two of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array
from convnest_core.kernels.affine import Affine
from convnest_core.kernels.windows import image_tiles

from .statistics import column_sums, per_channel

_TILE_BYTES = 1 << 18
_PILOTS = 16

Sums = npt.NDArray[np.float64]


def channel_moments(x: Array) -> Sums:
    """Σx and Σx² over all axes but the last, [2, C]."""
    about = pilot(x)
    sums = np.zeros((2, len(about)))
    centre = per_channel(about, x)
    for part in _tiles(x):
        distance = x[part] - centre
        sums[0] += column_sums(distance)
        sums[1] += column_sums(np.square(distance, out=distance))
    return about_zero(sums, about, x.size // len(about))


def pilot(x: Array) -> Array:
    """Each channel's mean over a few pixels, [C]: near enough to all of them to sum about it.

    The step between them is no image's size, so that they are not all one image's corner.
    """
    pixels = x.reshape(-1, x.shape[-1])
    chosen: Array = pixels[:: max(1, len(pixels) // _PILOTS - 1)].mean(axis=0)
    return chosen


def about_zero(sums: Sums, about: Array, count: int) -> Sums:
    """Σx and Σx² from Σ(x - about) and Σ(x - about)² over `count` values."""
    centre = about.astype(np.float64)
    total = sums[0] + count * centre
    return np.stack([total, sums[1] + centre * (total + sums[0])])


def normalise(
    x: Array, by: Affine, *, residual: Array | None = None, rectify: bool = False
) -> Array:
    """y = x · scale + shift (+ residual), and max(y, 0) of it where `rectify`."""
    scale, shift = (per_channel(vector, x) for vector in by)
    zeros = np.zeros(x.shape[1:], x.dtype)
    y = np.empty(x.shape, x.dtype)
    for part in _tiles(x):
        out = np.multiply(x[part], scale, out=y[part])
        out += shift
        if residual is not None:
            out += residual[part]
        if rectify:
            np.maximum(out, zeros, out=out)
    return y


def normalise_sums(dy: Array, x: Array, mean: Array, *, rectified: Affine | None = None) -> Sums:
    """Σ g and Σ g · (x - mean) over all axes but the last, [2, C]: g is dy behind ReLU."""
    sums = np.zeros((2, x.shape[-1]))
    centre = per_channel(mean, x)
    for part in _tiles(x):
        gradient = _behind_relu(dy[part], x[part], rectified)
        sums[0] += column_sums(gradient)
        distance = x[part] - centre
        sums[1] += column_sums(np.multiply(distance, gradient, out=distance))
    return sums


def normalise_backward(
    dy: Array, x: Array, *, by: Affine, slope: Affine | None, rectified: bool
) -> Array:
    """dx = g · by.scale (+ x · slope.scale + slope.shift), g being dy behind ReLU."""
    factor = per_channel(by.scale, x)
    steep, low = (None, None) if slope is None else (per_channel(vector, x) for vector in slope)
    dx = np.empty(x.shape, x.dtype)
    for part in _tiles(x):
        gradient = _behind_relu(dy[part], x[part], by if rectified else None)
        out = np.multiply(gradient, factor, out=dx[part])
        if steep is not None:
            out += x[part] * steep
            out += low
    return dx


def _behind_relu(dy: Array, x: Array, rectified: Affine | None) -> Array:
    """dy, but zero where x · scale + shift is not positive, if these are given."""
    if rectified is None:
        return dy
    scale, shift = (per_channel(vector, x) for vector in rectified)
    y = x * scale
    y += shift
    return np.multiply(dy, y > 0)


def _tiles(x: Array) -> Iterator[slice]:
    return image_tiles(x.shape, x.itemsize, _TILE_BYTES)
