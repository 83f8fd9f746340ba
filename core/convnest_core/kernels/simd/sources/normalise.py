"""Batch normalisation and all that treats every value alike: passes over memory, as few as can be.

An array is seen as rows × width. Several short pixels make up one row, so that a row is never
shorter than a strip of vectors unless the whole array is; what belongs to a channel comes repeated
to the same width. Sums are of float32 within short runs of rows, of float64 over the runs.

Source: Ioffe, Szegedy, "Batch Normalization", 2015. Sums about a value near the mean, for
the digits that Σx² - (Σx)²/n loses: Chan, Golub, LeVeque, "Algorithms for Computing the Sample
Variance", 1983.
"""

from __future__ import annotations

from convnest_core.kernels.simd.language import (
    WIDTH,
    DoublesOut,
    Floats,
    FloatsOut,
    is_given,
    strip,
)

_s = strip(4)
STRIP = 4 * WIDTH
_RUN_VALUES = 1 << 14  # a run of rows, strip by strip: what is read twice is still in the cache
_FEWEST, _MOST = 16, 128  # rows of a run


def moments(
    x: Floats, about: Floats, sums: DoublesOut, rows: int, width: int, sums_width: int
) -> None:
    """To sums [2, sums_width] add Σ(x - about) and Σ(x - about)² by column."""
    run = min(max(_RUN_VALUES // width, _FEWEST), _MOST)
    for top in range(0, rows, run):
        for c in range(0, width, STRIP):
            left = width - c
            centre = _s.read(about, c, left)
            total, square = _s.zero(), _s.zero()
            for row in range(top, min(top + run, rows)):
                distance = _s.minus(_s.read(x, row * width + c, left), centre)
                total = _s.plus(total, distance)
                square = _s.fused(distance, distance, square)
            _s.tally(sums, c, total)
            _s.tally(sums, sums_width + c, square)


def normalise(
    x: Floats,
    scale: Floats,
    shift: Floats,
    r: Floats,
    y: FloatsOut,
    rows: int,
    width: int,
    x_stride: int,
    r_stride: int,
    y_stride: int,
    rectified: int,
) -> None:
    """y = max(x · scale + shift + r, 0), each part of it where it is given; y may be x."""
    run = max(_RUN_VALUES // width, 1)
    for top in range(0, rows, run):
        for c in range(0, width, STRIP):
            left = width - c
            factor, term = _s.zero(), _s.zero()
            if is_given(scale):
                factor = _s.read(scale, c, left)
            if is_given(shift):
                term = _s.read(shift, c, left)
            for row in range(top, min(top + run, rows)):
                value = _s.read(x, row * x_stride + c, left)
                if is_given(scale):
                    value = _s.fused(value, factor, term)
                elif is_given(shift):
                    value = _s.plus(value, term)
                if is_given(r):
                    value = _s.plus(value, _s.read(r, row * r_stride + c, left))
                if rectified:
                    value = _s.rectified(value)
                _s.write(y, row * y_stride + c, left, value)


def normalise_sums(
    dy: Floats,
    x: Floats,
    mean: Floats,
    scale: Floats,
    shift: Floats,
    sums: DoublesOut,
    rows: int,
    width: int,
    sums_width: int,
) -> None:
    """To sums [2, sums_width] add Σ g and Σ g · (x - mean) by column.

    g is dy, but zero where x · scale + shift is not positive, if these are given: ReLU's gradient,
    without a look at its output.
    """
    run = min(max(_RUN_VALUES // width, _FEWEST), _MOST)
    for top in range(0, rows, run):
        for c in range(0, width, STRIP):
            left = width - c
            centre = _s.read(mean, c, left)
            total, product, factor, term = _s.zero(), _s.zero(), _s.zero(), _s.zero()
            if is_given(scale):
                factor, term = _s.read(scale, c, left), _s.read(shift, c, left)
            for row in range(top, min(top + run, rows)):
                at = row * width + c
                gradient, value = _s.read(dy, at, left), _s.read(x, at, left)
                if is_given(scale):
                    gradient = _s.where_positive(_s.fused(value, factor, term), gradient)
                total = _s.plus(total, gradient)
                product = _s.fused(gradient, _s.minus(value, centre), product)
            _s.tally(sums, c, total)
            _s.tally(sums, sums_width + c, product)


def normalise_backward(
    dy: Floats,
    x: Floats,
    scale: Floats,
    shift: Floats,
    slope: Floats,
    offset: Floats,
    dx: FloatsOut,
    rows: int,
    width: int,
    rectified: int,
) -> None:
    """dx = g · scale (+ x · slope + offset), with g as in `normalise_sums` where `rectified`."""
    run = max(_RUN_VALUES // width, 1)
    for top in range(0, rows, run):
        for c in range(0, width, STRIP):
            left = width - c
            factor, term = _s.read(scale, c, left), _s.read(shift, c, left)
            steep, low = _s.zero(), _s.zero()
            if is_given(slope):
                steep, low = _s.read(slope, c, left), _s.read(offset, c, left)
            for row in range(top, min(top + run, rows)):
                at = row * width + c
                gradient, value = _s.read(dy, at, left), _s.read(x, at, left)
                if rectified:
                    gradient = _s.where_positive(_s.fused(value, factor, term), gradient)
                gradient = _s.times(gradient, factor)
                if is_given(slope):
                    gradient = _s.plus(gradient, _s.fused(value, steep, low))
                _s.write(dx, at, left, gradient)


def masked(y: Floats, dy: Floats, dx: FloatsOut, size: int) -> None:
    """dx = dy where y is positive, else zero: ReLU's gradient from its output."""
    for i in range(0, size, STRIP):
        left = size - i
        _s.write(dx, i, left, _s.where_positive(_s.read(y, i, left), _s.read(dy, i, left)))
