"""Pooling: each window's largest value or mean, and the gradients back to where they came from.

Windows are walked row by row, and each channel's values of a window are combined in registers. A
window's taps are numbered row by row; a byte says which one was the largest, the first of several.
Backward every window adds its gradient to its taps. A row of dx is cleared just before the first
window reaches it, so it is still in the cache when the gradients arrive.

Images are `pixel` elements a pixel, of which the channels are the first; rows and images follow
without gaps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from convnest_core.kernels.simd.language import (
    WIDTH,
    Bytes,
    BytesOut,
    Floats,
    FloatsOut,
    is_given,
    part,
    strip,
)

_MANY = 4
_LOWEST = np.float32(-np.inf)


class Taps(NamedTuple):
    """The taps of one window that lie inside the image: rows top … bottom-1, columns likewise."""

    at: int  # where tap (0, 0) of the window would be
    row: int  # elements from one row of the image to the next
    pixel: int
    across: int  # taps in a row of the window
    top: int
    bottom: int
    left: int
    right: int


@part
def _taps(row, column, height, width, pixel, kernel_height, kernel_width):
    """Those of a window that begins at a row and a column, in an image that begins at 0."""
    return Taps(
        (row * width + column) * pixel,
        width * pixel,
        pixel,
        kernel_width,
        max(0, -row),
        min(kernel_height, height - row),
        max(0, -column),
        min(kernel_width, width - column),
    )


@part
def _share(row, column, height, width, kernel_height, kernel_width, padding_height, padding_width):
    """One over the values of a window; what of it lies within the padding counts with them."""
    rows = min(row + kernel_height, height + padding_height) - max(row, -padding_height)
    columns = min(column + kernel_width, width + padding_width) - max(column, -padding_width)
    return np.float32(1.0 / max(rows * columns, 1))


def _combined(vectors: int) -> Any:
    """One window of so many vectors of channels."""
    s = strip(vectors)

    @part
    def combined(x, image, taps, y, y_at, places, places_at, share, count):
        if share != 0:
            total = s.zero()
            for i in range(taps.top, taps.bottom):
                for j in range(taps.left, taps.right):
                    at = image + taps.at + i * taps.row + j * taps.pixel
                    total = s.plus(total, s.read(x, at, count))
            s.write(y, y_at, count, s.times(total, s.splat(share)))
            return
        best = s.splat(_LOWEST)
        place = s.splat(np.float32(taps.top * taps.across + taps.left))
        for i in range(taps.top, taps.bottom):
            for j in range(taps.left, taps.right):
                value = s.read(x, image + taps.at + i * taps.row + j * taps.pixel, count)
                if is_given(places):
                    number = s.splat(np.float32(i * taps.across + j))
                    place = s.where_larger(value, best, number, place)
                best = s.where_larger(value, best, value, best)
        s.write(y, y_at, count, best)
        if is_given(places):
            s.write_bytes(places, places_at, place)

    return combined


def _spread(vectors: int) -> Any:
    """The gradient of one window of so many vectors of channels, added to its taps."""
    s = strip(vectors)

    @part
    def spread(dx, image, taps, dy, dy_at, places, places_at, share, count):
        gradient = s.times(s.read(dy, dy_at, count), s.splat(share))
        for i in range(taps.top, taps.bottom):
            for j in range(taps.left, taps.right):
                at = image + taps.at + i * taps.row + j * taps.pixel
                own = gradient
                if is_given(places):
                    own = s.where_byte(places, places_at, i * taps.across + j, gradient)
                s.write(dx, at, count, s.plus(s.read(dx, at, count), own))

    return spread


_combined_many, _combined_one = _combined(_MANY), _combined(1)
_spread_many, _spread_one = _spread(_MANY), _spread(1)
_s = strip(_MANY)


def pool(
    x: Floats,
    y: FloatsOut,
    places: BytesOut,
    first: int,
    last: int,
    height: int,
    width: int,
    channels: int,
    down: int,
    across: int,
    kernel_height: int,
    kernel_width: int,
    stride_height: int,
    stride_width: int,
    padding_height: int,
    padding_width: int,
    counted_height: int,
    counted_width: int,
    mean: int,
    x_pixel: int,
    y_pixel: int,
    places_pixel: int,
) -> None:
    """Rows first … last-1 of all images' windows, `down` rows of `across` each.

    Means count up to `counted` values of padding on each side; `places` may be left out.
    """
    for line in range(first, last):
        image = line // down * height * width * x_pixel
        row = line % down * stride_height - padding_height
        for window in range(across):
            column = window * stride_width - padding_width
            taps = _taps(row, column, height, width, x_pixel, kernel_height, kernel_width)
            share = np.float32(0)
            if mean:
                share = _share(
                    row,
                    column,
                    height,
                    width,
                    kernel_height,
                    kernel_width,
                    counted_height,
                    counted_width,
                )
            y_at, p_at = (line * across + window) * y_pixel, (line * across + window) * places_pixel
            c = 0
            while c < channels:
                left = channels - c
                if left >= _MANY * WIDTH:
                    _combined_many(x, image + c, taps, y, y_at + c, places, p_at + c, share, left)
                    c += _MANY * WIDTH
                else:
                    _combined_one(x, image + c, taps, y, y_at + c, places, p_at + c, share, left)
                    c += WIDTH


def pool_backward(
    dy: Floats,
    places: Bytes,
    dx: FloatsOut,
    images: int,
    height: int,
    width: int,
    channels: int,
    down: int,
    across: int,
    kernel_height: int,
    kernel_width: int,
    stride_height: int,
    stride_width: int,
    padding_height: int,
    padding_width: int,
    counted_height: int,
    counted_width: int,
    places_pixel: int,
) -> None:
    """dx of `pool`: of the largest values with `places`, of means without."""
    for n in range(images):
        image = n * height * width * channels
        cleared = 0
        for line in range(down):
            row = line * stride_height - padding_height
            reached = min(row + kernel_height, height)
            _clear(dx, image + cleared * width * channels, (reached - cleared) * width * channels)
            cleared = max(cleared, reached)
            for window in range(across):
                column = window * stride_width - padding_width
                taps = _taps(row, column, height, width, channels, kernel_height, kernel_width)
                share = np.float32(1)
                if not is_given(places):
                    share = _share(
                        row,
                        column,
                        height,
                        width,
                        kernel_height,
                        kernel_width,
                        counted_height,
                        counted_width,
                    )
                number = (n * down + line) * across + window
                at, p_at = number * channels, number * places_pixel
                c = 0
                while c < channels:
                    left = channels - c
                    if left >= _MANY * WIDTH:
                        _spread_many(dx, image + c, taps, dy, at + c, places, p_at + c, share, left)
                        c += _MANY * WIDTH
                    else:
                        _spread_one(dx, image + c, taps, dy, at + c, places, p_at + c, share, left)
                        c += WIDTH
        _clear(dx, image + cleared * width * channels, (height - cleared) * width * channels)


@part
def _clear(x, first, count):
    for i in range(0, count, _MANY * WIDTH):
        _s.write(x, first + i, count - i, _s.zero())
