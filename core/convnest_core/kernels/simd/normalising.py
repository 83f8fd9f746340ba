"""Batch normalisation's passes, as `plain.normalisation` defines them."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.affine import Affine
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.plain.normalisation import Sums, about_zero, pilot

from .machine import machine
from .native import Native

_moments = Native("normalise", "moments")
_normalise = Native("normalise", "normalise")
_sums = Native("normalise", "normalise_sums")
_backward = Native("normalise", "normalise_backward")

_WIDEST = 4096  # values of a row of several pixels


class _Rows(NamedTuple):
    """Some of an array's values, seen as a matrix of whole pixels side by side."""

    values: slice
    rows: int
    width: int


class _Layout:
    """How an array of `channels` is cut into rows that fill whole strips of vectors, if it can be.

    What remains, fewer pixels than a row has, is one shorter row.
    """

    def __init__(self, x: Array) -> None:
        self.channels = x.shape[-1]
        pixels = x.size // self.channels
        together = strip_values() // gcd(self.channels, strip_values())
        if together * self.channels > _WIDEST:
            together = 1
        self._together = min(together, pixels)
        self._rows, self._left = divmod(pixels, self._together)
        self.width = self._together * self.channels

    def __iter__(self) -> Iterator[_Rows]:
        whole = self._rows * self.width
        yield _Rows(slice(whole), self._rows, self.width)
        if self._left:
            rest = self._left * self.channels
            yield _Rows(slice(whole, whole + rest), 1, rest)

    def row(self, vector: Array) -> Array:
        """`vector` [C] for every pixel of a row."""
        return np.tile(vector, self._together)

    def sums(self) -> Sums:
        """Zeros to sum in, two rows of whole strips."""
        return np.zeros((2, -(-self.width // strip_values()) * strip_values()))

    def by_channel(self, sums: Sums) -> Sums:
        """What the kernels added to `sums`, [2, C]."""
        parts = sums[:, : self.width].reshape(2, self._together, self.channels)
        total: Sums = parts.sum(axis=1)
        return total


def strip_values() -> int:
    """How many values the kernels handle at a time."""
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    return 4 * found.width


def channel_moments(x: Array) -> Sums:
    """As `kernels.channel_moments`."""
    x = np.ascontiguousarray(x)
    layout, about = _Layout(x), pilot(x)
    sums, centre, flat = layout.sums(), layout.row(about), x.reshape(-1)
    for part in layout:
        _moments(flat[part.values], centre, sums, part.rows, part.width, sums.shape[1])
    return about_zero(layout.by_channel(sums), about, x.size // layout.channels)


def normalise(
    x: Array, by: Affine, *, residual: Array | None = None, rectify: bool = False
) -> Array:
    """As `kernels.normalise`."""
    x = np.ascontiguousarray(x)
    layout = _Layout(x)
    y = empty_aligned(x.shape, x.dtype)
    flat, out = x.reshape(-1), y.reshape(-1)
    added = None if residual is None else np.ascontiguousarray(residual).reshape(-1)
    scale, shift = (layout.row(vector) for vector in by)
    for part in layout:
        _normalise(
            flat[part.values],
            scale,
            shift,
            None if added is None else added[part.values],
            out[part.values],
            part.rows,
            part.width,
            *[part.width] * 3,
            int(rectify),
        )
    return y


def normalise_sums(dy: Array, x: Array, mean: Array, *, rectified: Affine | None = None) -> Sums:
    """As `kernels.normalise_sums`."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    layout = _Layout(x)
    sums, centre = layout.sums(), layout.row(mean)
    scale, shift = (None, None) if rectified is None else map(layout.row, rectified)
    given, flat = dy.reshape(-1), x.reshape(-1)
    for part in layout:
        _sums(
            given[part.values],
            flat[part.values],
            centre,
            scale,
            shift,
            sums,
            part.rows,
            part.width,
            sums.shape[1],
        )
    return layout.by_channel(sums)


def normalise_backward(
    dy: Array, x: Array, *, by: Affine, slope: Affine | None, rectified: bool
) -> Array:
    """As `kernels.normalise_backward`."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    layout = _Layout(x)
    dx = empty_aligned(x.shape, x.dtype)
    vectors = [None if v is None else layout.row(v) for v in (*by, *(slope or (None, None)))]
    given, flat, out = dy.reshape(-1), x.reshape(-1), dx.reshape(-1)
    for part in layout:
        _backward(
            given[part.values],
            flat[part.values],
            *vectors,
            out[part.values],
            part.rows,
            part.width,
            int(rectified),
        )
    return dx
