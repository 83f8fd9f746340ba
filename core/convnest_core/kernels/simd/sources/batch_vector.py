"""Convolutions of small images with few channels: a vector holds one pixel of `WIDTH` images.

Where a network has 1, 6 or 16 channels, vectors over channels stay half empty. The batch fills them
whatever the network looks like: images lie as [block][channel][row][column][image], a block being
`WIDTH` images, and a convolution of a block is that of one image with vectors for numbers:

    y[o, i, j] = b[o] + Σ w[u, v, c, o] · x[c, i + u - p, j + v - p]

Each weight is read once and broadcast to all lanes. A tile of 2×2 outputs × Q filters stays in
registers, which makes ReLU and a 2×2 max pooling free: its four values are there at once. (The
layout is that of cuda-convnet, Krizhevsky 2012.)

Around each image lies a border of zeros. Of the border, a tile meets at most one row or column at
a time: taps that would meet nothing else are left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    WIDTH,
    Floats,
    FloatsOut,
    get,
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
from convnest_core.kernels.simd.language.windows import FILTERS, taps, window

_FEW = 2  # filters; how many there are is even
_MANY = FILTERS
_SHORT, _LONG = 3, 5  # taps of a row whose gradients grow together


class Planes(NamedTuple):
    """The channels of a block of images."""

    data: Any  # a span
    first: int  # the place of channel 0's pixel (0, 0)
    row: int  # from a row to the next
    plane: int  # from a channel to the next
    height: int
    width: int


class Kernel(NamedTuple):
    """A convolution's kernel and padding."""

    height: int
    width: int
    down: int
    right: int
    channels: int
    filters: int


class Finish(NamedTuple):
    """What follows a convolution, each 0 or 1."""

    biased: int
    rectified: int
    pooled: int


@inlined
def _block(data, number, channels, plane, height, width, border):
    """Block `number` of images that lie one behind the other, an even number of planes each."""
    row = (width + 2 * border) * WIDTH
    first = number * (channels + channels % 2) * plane + border * row + border * WIDTH
    return Planes(data, first, row, plane, height, width)


@part
def _clear_border(y, channels, border):
    for c in range(channels):
        corner = y.first + c * y.plane - border * (y.row + WIDTH)
        for i in range(-border, y.height + border):
            row = corner + (i + border) * y.row
            if i < 0 or i >= y.height:
                for j in range(y.width + 2 * border):
                    store(y.data, row + j * WIDTH, zero())
            else:
                for j in range(border):
                    store(y.data, row + j * WIDTH, zero())
                    store(y.data, row + (y.width + border + j) * WIDTH, zero())


def _rows_of(filters: int) -> Any:
    """Two rows of outputs, or one of pooled ones, for so many filters."""
    acc = window(filters)

    @part
    def rows(x, i, kernel, w, o, b, finish, y, places):
        """From the convolution's row i on."""
        height = x.height + 2 * kernel.down - kernel.height + 1
        width = x.width + 2 * kernel.right - kernel.width + 1
        top = max(0, kernel.down - 1 - i)
        bottom = min(kernel.height, x.height + kernel.down - i)
        for j in range(0, 2 * y.width if finish.pooled else width, 2):
            left = max(0, kernel.right - 1 - j)
            right = min(kernel.width, x.width + kernel.right - j)
            sums = acc.zero()
            for u in range(top, bottom):
                for v in range(left, right):
                    pixel = x.first + (i + u - kernel.down) * x.row + (j + v - kernel.right) * WIDTH
                    weight = (u * kernel.width + v) * kernel.channels * kernel.filters + o
                    for c in range(kernel.channels):
                        sums = acc.grow(
                            sums, x.data, pixel + c * x.plane, x.row, w, weight + c * kernel.filters
                        )
            if finish.biased:
                sums = acc.add_bias(sums, b, o)
            if finish.rectified:
                sums = acc.rectify(sums)
            if finish.pooled:
                at = y.first + o * y.plane + i // 2 * y.row + j // 2 * WIDTH
                acc.store_each(acc.largest(sums), y.data, at, y.plane)
                at = places.first + o * places.plane + i // 2 * places.row + j // 2 * WIDTH
                acc.store_each(acc.largest_place(sums), places.data, at, places.plane)
            else:
                at = y.first + o * y.plane + i * y.row + j * WIDTH
                acc.store(sums, y.data, at, y.row, y.plane, height - i, width - j)

    return rows


_few_rows = _rows_of(_FEW)
_many_rows = _few_rows if _MANY == _FEW else _rows_of(_MANY)


@inlined
def _convolve(x, kernel, w, b, finish, y, places):
    """One block; w is [kernel.height, kernel.width, channels, filters]."""
    many = kernel.filters // _MANY * _MANY
    for i in range(0, 2 * y.height if finish.pooled else y.height, 2):
        for o in range(0, many, _MANY):
            _many_rows(x, i, kernel, w, o, b, finish, y, places)
        for o in range(many, kernel.filters, _FEW):
            _few_rows(x, i, kernel, w, o, b, finish, y, places)


def batch_enter(
    x: Floats,
    y: FloatsOut,
    images: int,
    channels: int,
    height: int,
    width: int,
    border: int,
    plane: int,
    image_stride: int,
    row_stride: int,
    pixel_stride: int,
    channel_stride: int,
) -> None:
    """Images by their strides to blocks with a border; where images are missing, zeros."""
    for number in range((images + WIDTH - 1) // WIDTH):
        block = _block(y, number, channels, plane, height, width, border)
        _clear_border(block, channels, border)
        first = number * WIDTH
        there = min(WIDTH, images - first)
        for i in range(height):
            for j in range(width):
                for c in range(channels):
                    source = i * row_stride + j * pixel_stride + c * channel_stride
                    place = block.first + i * block.row + j * WIDTH + c * plane
                    if there < WIDTH:
                        store(y, place, zero())
                    for lane in range(there):
                        put(y, place + lane, get(x, (first + lane) * image_stride + source))


def batch_leave(
    x: Floats,
    y: FloatsOut,
    images: int,
    channels: int,
    height: int,
    width: int,
    border: int,
    plane: int,
    image_stride: int,
    row_stride: int,
    pixel_stride: int,
    channel_stride: int,
) -> None:
    """Blocks back to images by their strides."""
    for number in range((images + WIDTH - 1) // WIDTH):
        block = _block(x, number, channels, plane, height, width, border)
        first = number * WIDTH
        for i in range(height):
            for j in range(width):
                for c in range(channels):
                    target = i * row_stride + j * pixel_stride + c * channel_stride
                    place = block.first + i * block.row + j * WIDTH + c * plane
                    for lane in range(min(WIDTH, images - first)):
                        put(y, (first + lane) * image_stride + target, get(x, place + lane))


def batch_forward(
    x: Floats,
    w: Floats,
    b: Floats,
    y: FloatsOut,
    places: FloatsOut,
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
    rectified: int,
) -> None:
    """y = pool(relu(x ∗ w + b)), each block with its border; pooled where `places` are given.

    w is [kernel_height, kernel_width, channels, filters], filters an even number, and so are the
    planes of a block. `places` have no border.
    """
    kernel = Kernel(kernel_height, kernel_width, down, right, channels, filters)
    finish = Finish(is_given(b), rectified, is_given(places))
    for number in range(blocks):
        source = _block(x, number, channels, x_plane, height, width, border)
        target = _block(y, number, filters, y_plane, y_height, y_width, border)
        found = _block(places, number, filters, y_height * y_width * WIDTH, y_height, y_width, 0)
        _clear_border(target, filters, border)
        _convolve(source, kernel, w, b, finish, target, found)


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


_few_short, _few_long = _taps_of(_SHORT, _FEW), _taps_of(_LONG, _FEW)
_many_short = _few_short if _MANY == _FEW else _taps_of(_SHORT, _MANY)
_many_long = _few_long if _MANY == _FEW else _taps_of(_LONG, _MANY)


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
                    if o + _MANY <= kernel.filters:
                        if left > _SHORT:
                            _many_long(x, x_index, g, g_index, rows, sums, index, apart, left)
                        else:
                            _many_short(x, x_index, g, g_index, rows, sums, index, apart, left)
                    elif left > _SHORT:
                        _few_long(x, x_index, g, g_index, rows, sums, index, apart, left)
                    else:
                        _few_short(x, x_index, g, g_index, rows, sums, index, apart, left)
                    v += _LONG if left > _SHORT else _SHORT
        o += _MANY if o + _MANY <= kernel.filters else _FEW


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
    spread = _block(g, 0, filters, g_plane, g_height, g_width, 1)
    _clear_border(spread, filters, 1)
    for number in range(blocks):
        source = _block(x, number, channels, x_plane, height, width, border)
        result = _block(y, number, filters, y_plane, y_height, y_width, border)
        found = _block(places, number, filters, y_size, y_height, y_width, 0)
        given = _block(dy, number, filters, y_size, y_height, y_width, 0)
        for o in range(filters):
            summed = _unpool(given, result, found, finish, spread, o)
            place = (weights + o) * WIDTH
            store(sums, place, load(sums, place) + summed)
        if is_given(dw):
            _weights(source, spread, kernel, sums)
        if is_given(dx):
            target = _block(dx, number, channels, height * width * WIDTH, height, width, 0)
            _convolve(spread, turned, w, w, plain, target, target)
    if is_given(dw):
        for index in range(weights):
            put(dw, index, total(load(sums, index * WIDTH)))
    if is_given(db):
        for o in range(filters):
            put(db, o, total(load(sums, (weights + o) * WIDTH)))
