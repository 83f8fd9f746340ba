"""G g Gᵀ for every pair of channel and filter: weights as Winograd's products take them."""

from __future__ import annotations

from typing import Any

from convnest_core.kernels.simd.language import (
    BLOCK,
    WIDTH,
    Floats,
    FloatsOut,
    load,
    load_part,
    part,
    store,
    transpose,
)
from convnest_core.kernels.simd.sources.winograd_transforms import (
    POINTS,
    ROW,
    Planes,
    evaluated,
    scaled,
    six,
)


def _squared(size: int) -> Any:
    """G g Gᵀ for WIDTH filters g [size, size, WIDTH]."""
    values = evaluated(size)

    @part
    def square(g, g0, s, u):
        for j in range(size):
            six.write(s, j * WIDTH, ROW, scaled(values(g, g0 + j * WIDTH, size * WIDTH)))
        for i in range(POINTS):
            row = scaled(values(s, i * ROW, WIDTH))
            six.write(u.data, u.first + i * POINTS * u.apart, u.apart, row)

    return square


_three, _five = _squared(3), _squared(5)


@part
def _square(g, g0, s, u, size):
    if size == 3:
        _three(g, g0, s, u)
    else:
        _five(g, g0, s, u)


def winograd_weights(
    w: Floats,
    u: FloatsOut,
    g: FloatsOut,
    s: FloatsOut,
    size: int,
    channels: int,
    filters: int,
    tap: int,
    channel: int,
    plane: int,
) -> None:
    """w [size, size, channels, filters] to u [36, blocks of filters, channels, BLOCK].

    Taps of w lie `tap` apart, its channels `channel`, planes of u `plane`. Filters of a block
    beyond the last are zero.
    """
    for first in range(0, filters, BLOCK):
        for c in range(channels):
            for lane in range(0, BLOCK, WIDTH):
                some = filters - first - lane
                for k in range(size * size):
                    at = k * tap + c * channel + first + lane
                    if some >= WIDTH:
                        store(g, k * WIDTH, load(w, at))
                    else:
                        store(g, k * WIDTH, load_part(w, at, max(some, 0)))
                _square(g, 0, s, Planes(u, first * channels + c * BLOCK + lane, plane), size)


def winograd_weights_back(
    w: Floats,
    u: FloatsOut,
    g: FloatsOut,
    s: FloatsOut,
    size: int,
    channels: int,
    filters: int,
    tap: int,
    channel: int,
    plane: int,
) -> None:
    """The weights that take dY to dX: turned by 180°, channels and filters exchanged.

    w as above to u [36, blocks of channels, filters, BLOCK].
    """
    taps = size * size
    square = WIDTH * taps * WIDTH  # of scratch memory; behind it one block of w, where it is cut
    for first in range(0, channels, BLOCK):
        for o in range(0, filters, WIDTH):
            columns = min(WIDTH, filters - o)
            for lane in range(0, BLOCK, WIDTH):
                rows = min(WIDTH, channels - first - lane)
                for k in range(taps):
                    at = k * tap + (first + lane) * channel + o
                    to = (taps - 1 - k) * WIDTH
                    if rows == WIDTH and columns == WIDTH:
                        transpose(w, at, channel, g, to, taps * WIDTH)
                    else:
                        for i in range(WIDTH):
                            some = columns if i < rows else 0
                            store(g, square + i * WIDTH, load_part(w, at + i * channel, some))
                        transpose(g, square, WIDTH, g, to, taps * WIDTH)
                for i in range(columns):
                    u0 = first * filters + (o + i) * BLOCK + lane
                    _square(g, i * taps * WIDTH, s, Planes(u, u0, plane), size)
