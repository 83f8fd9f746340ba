"""Batch normalisation's passes, as `plain.normalisation` defines them, and those of plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.affine import Affine
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.plain.normalisation import Sums, about_zero, pilot
from convnest_core.kernels.planned.finishing import Activation
from convnest_core.kernels.planned.sharing import WHOLE, Share
from convnest_core.kernels.planned.tiles import matrix

from .machine import machine
from .native import Native

_moments = Native("normalise", "moments")
_normalise = Native("normalise", "normalise")
_sums = Native("normalise", "normalise_sums")
_backward = Native("normalise", "normalise_backward")

_WIDEST = 4096  # values of a row of several pixels


class _Rows(NamedTuple):
    """Some of an array's pixels, seen as rows of several pixels side by side."""

    pixels: slice
    rows: int
    together: int
    width: int

    def stride(self, x: Array) -> int:
        """How many elements of x [pixels, C] lie from one row to the next."""
        return int(self.together * (x.strides[0] // x.itemsize))


class _Layout:
    """How arrays [pixels, C] are cut into rows, which fill whole strips of vectors if they can.

    What remains, fewer pixels than a row has, is one shorter row. Pixels that are slices of wider
    ones are a row each.
    """

    def __init__(self, *arrays: Array) -> None:
        pixels, self.channels = arrays[0].shape
        together = strip_values() // gcd(self.channels, strip_values())
        gaps = not all(array.flags.c_contiguous for array in arrays)
        if gaps or together * self.channels > _WIDEST:
            together = 1
        self._together = min(together, pixels)
        self._rows, self._left = divmod(pixels, self._together)
        self.width = self._together * self.channels

    def __iter__(self) -> Iterator[_Rows]:
        whole, left = self._rows * self._together, self._left
        yield _Rows(slice(whole), self._rows, self._together, self.width)
        if left:
            yield _Rows(slice(whole, whole + left), 1, left, left * self.channels)

    def row(self, vector: Array) -> Array:
        """`vector` [C] for every pixel of a row; several times quicker than `np.tile`."""
        row = np.empty((self._together, self.channels), vector.dtype)
        row[:] = vector
        return row.reshape(-1)

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


@dataclass(frozen=True, eq=False)
class Pixels:
    """As `planned.Pixels`: out = activation(x · scale + shift + residual), of what is given."""

    scale: Array | None = None  # [C]
    shift: Array | None = None  # [C]
    activation: Activation | None = None
    algorithm = "value by value, in one pass"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x and residual [N, ..., C] to out of the same shape, which may be x itself."""
        own = share.of(x.size // x.shape[-1])
        if own.start == own.stop:
            return
        source, results = matrix(x)[own], matrix(out)[own]
        added = source if residual is None else matrix(residual)[own]
        layout = _Layout(source, results, added)
        scale, shift = (v if v is None else layout.row(v) for v in (self.scale, self.shift))
        for part in layout:
            _normalise(
                source[part.pixels],
                scale,
                shift,
                None if residual is None else added[part.pixels],
                results[part.pixels],
                part.rows,
                part.width,
                part.stride(source),
                part.stride(added),
                part.stride(results),
                int(self.activation == "relu"),
            )


def channel_moments(x: Array) -> Sums:
    """As `kernels.channel_moments`."""
    pixels = _pixels(x)
    layout, about = _Layout(pixels), pilot(x)
    sums, centre = layout.sums(), layout.row(about)
    for part in layout:
        _moments(pixels[part.pixels], centre, sums, part.rows, part.width, sums.shape[1])
    return about_zero(layout.by_channel(sums), about, len(pixels))


def normalise(
    x: Array, by: Affine, *, residual: Array | None = None, rectify: bool = False
) -> Array:
    """As `kernels.normalise`."""
    y = empty_aligned(x.shape, x.dtype)
    added = None if residual is None else _pixels(residual)
    Pixels(*by, activation="relu" if rectify else None)(_pixels(x), matrix(y), added)
    return y


def normalise_sums(dy: Array, x: Array, mean: Array, *, rectified: Affine | None = None) -> Sums:
    """As `kernels.normalise_sums`."""
    given, pixels = _pixels(dy), _pixels(x)
    layout = _Layout(pixels)
    sums, centre = layout.sums(), layout.row(mean)
    scale, shift = (None, None) if rectified is None else map(layout.row, rectified)
    for part in layout:
        _sums(
            given[part.pixels],
            pixels[part.pixels],
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
    dx = empty_aligned(x.shape, x.dtype)
    given, pixels, out = _pixels(dy), _pixels(x), matrix(dx)
    layout = _Layout(pixels)
    vectors = [None if v is None else layout.row(v) for v in (*by, *(slope or (None, None)))]
    for part in layout:
        _backward(
            given[part.pixels],
            pixels[part.pixels],
            *vectors,
            out[part.pixels],
            part.rows,
            part.width,
            int(rectified),
        )
    return dx


def _pixels(x: Array) -> Array:
    """x [..., C] as [pixels, C], without gaps."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])
