"""The gradients of `batch_vector`'s convolutions: of the pooling and ReLU behind them, w, b and x.

A gradient of a weight is a sum over the pixels of all images; lane by lane it is summed for the
images of a lane, and the lanes are added at the end. dx is a convolution with the turned weights.
"""

from __future__ import annotations

from typing import Any

from convnest_core.kernels.simd.language import (
    WIDTH,
    Floats,
    FloatsOut,
    greater,
    inlined,
    is_given,
    load,
    part,
    put,
    splat,
    store,
    total,
    where_positive,
    zero,
)
from convnest_core.kernels.simd.language.windows import taps
from convnest_core.kernels.simd.sources.batch_vector import (
    FEW,
    MANY,
    Finish,
    Kernel,
    block_of,
    clear_border,
    convolve,
)

_SHORT, _LONG = 3, 5  # taps of a row whose gradients grow together


@part
def _unpool(dy, y, places, finish, g, o):
    """The gradient of channel o before ReLU and pooling; returns its sum, which is the bias'."""
    summed = zero()
    if finish.pooled and (g.height > 2 * y.height or g.width > 2 * y.width):
        for i in range(g.height):
            for j in range(g.width):
                store(g.data, g.first + o * g.plane + i * g.row + j * WIDTH, zero())
    for i in range(y.height):
        for j in range(y.width):
            value = load(dy.data, dy.first + o * dy.plane + i * dy.row + j * WIDTH)
            if finish.rectified:
                reached = load(y.data, y.first + o * y.plane + i * y.row + j * WIDTH)
                value = where_positive(reached, value, zero())
            summed = summed + value
            if finish.pooled:
                place = load(
                    places.data, places.first + o * places.plane + i * places.row + j * WIDTH
                )
                at = g.first + o * g.plane + 2 * i * g.row + 2 * j * WIDTH
                upper = greater(splat(1.5), place, value, zero())
                lower = greater(place, splat(1.5), value, zero())
                store(g.data, at, greater(splat(0.5), place, value, zero()))
                store(g.data, at + WIDTH, greater(place, splat(0.5), upper, zero()))
                store(g.data, at + g.row, greater(splat(2.5), place, lower, zero()))
                store(g.data, at + g.row + WIDTH, greater(place, splat(2.5), value, zero()))
            else:
                store(g.data, g.first + o * g.plane + i * g.row + j * WIDTH, value)
    return summed


def _taps_of(count: int, filters: int) -> Any:
    """The gradients of `count` taps of one row, for one channel and so many filters."""
    acc = taps(count, filters)

    @part
    def grown(x, x_index, g, g_index, rows, sums, index, apart, wanted):
        products = acc.zero()
        for i in range(rows):
            for j in range(g.width):
                products = acc.grow(
                    products,
                    x.data,
                    x_index + i * x.row + j * WIDTH,
                    g.data,
                    g_index + i * g.row + j * WIDTH,
                    g.plane,
                )
        acc.add_to(products, sums, index, apart, wanted)

    return grown


_few_short, _few_long = _taps_of(_SHORT, FEW), _taps_of(_LONG, FEW)
_many_short = _few_short if MANY == FEW else _taps_of(_SHORT, MANY)
_many_long = _few_long if MANY == FEW else _taps_of(_LONG, MANY)


@inlined
def _weights(x, g, kernel, sums):
    """Add Σ x[c, i + u - p, j + v - p] · g[o, i, j] to sums [u, v, c, o], by lanes."""
    apart = kernel.channels * kernel.filters * WIDTH
    o = 0
    while o < kernel.filters:
        for c in range(kernel.channels):
            for u in range(kernel.height):
                top = max(0, kernel.down - u)
                rows = min(g.height, x.height + kernel.down - u) - top
                v = 0
                while v < kernel.width:
                    pixel = (top + u - kernel.down) * x.row + (v - kernel.right) * WIDTH
                    x_index = x.first + c * x.plane + pixel
                    g_index = g.first + o * g.plane + top * g.row
                    index = (u * kernel.width + v) * apart + (c * kernel.filters + o) * WIDTH
                    left = kernel.width - v
                    if o + MANY <= kernel.filters:
                        if left > _SHORT:
                            _many_long(x, x_index, g, g_index, rows, sums, index, apart, left)
                        else:
                            _many_short(x, x_index, g, g_index, rows, sums, index, apart, left)
                    elif left > _SHORT:
                        _few_long(x, x_index, g, g_index, rows, sums, index, apart, left)
                    else:
                        _few_short(x, x_index, g, g_index, rows, sums, index, apart, left)
                    v += _LONG if left > _SHORT else _SHORT
        o += MANY if o + MANY <= kernel.filters else FEW


def batch_backward(
    x: Floats,
    w: Floats,
    y: Floats,
    places: Floats,
    dy: Floats,
    dx: FloatsOut,
    dw: FloatsOut,
    db: FloatsOut,
    g: FloatsOut,
    sums: FloatsOut,
    blocks: int,
    channels: int,
    filters: int,
    kernel_height: int,
    kernel_width: int,
    down: int,
    right: int,
    height: int,
    width: int,
    y_height: int,
    y_width: int,
    border: int,
    x_plane: int,
    y_plane: int,
    g_plane: int,
    rectified: int,
) -> None:
    """The gradients of `batch_forward` for dy; dx, and dw with db, where they are given.

    dy and dx are blocks without a border; w is turned: [kernel_height, kernel_width, filters,
    channels], rows and columns from last to first. `g` is room for one block of the convolution's
    own gradient, `sums` [(kernel_height · kernel_width · channels + 1) · filters, WIDTH]. filters,
    and the channels of w, are even numbers.
    """
    kernel = Kernel(kernel_height, kernel_width, down, right, channels, filters)
    turned = Kernel(
        kernel_height,
        kernel_width,
        kernel_height - 1 - down,
        kernel_width - 1 - right,
        filters,
        channels + channels % 2,
    )
    finish, plain = Finish(0, rectified, is_given(places)), Finish(0, 0, 0)
    weights = kernel_height * kernel_width * channels * filters
    for index in range(weights + filters):
        store(sums, index * WIDTH, zero())
    y_size = y_height * y_width * WIDTH
    g_height, g_width = height + 2 * down - kernel_height + 1, width + 2 * right - kernel_width + 1
    spread = block_of(g, 0, filters, g_plane, g_height, g_width, 1)
    clear_border(spread, filters, 1)
    for number in range(blocks):
        source = block_of(x, number, channels, x_plane, height, width, border)
        result = block_of(y, number, filters, y_plane, y_height, y_width, border)
        found = block_of(places, number, filters, y_size, y_height, y_width, 0)
        given = block_of(dy, number, filters, y_size, y_height, y_width, 0)
        for o in range(filters):
            summed = _unpool(given, result, found, finish, spread, o)
            place = (weights + o) * WIDTH
            store(sums, place, load(sums, place) + summed)
        if is_given(dw):
            _weights(source, spread, kernel, sums)
        if is_given(dx):
            target = block_of(dx, number, channels, height * width * WIDTH, height, width, 0)
            convolve(spread, turned, w, w, plain, target, target)
    if is_given(dw):
        for index in range(weights):
            put(dw, index, total(load(sums, index * WIDTH)))
    if is_given(db):
        for o in range(filters):
            put(db, o, total(load(sums, (weights + o) * WIDTH)))
