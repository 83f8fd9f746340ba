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
    inlined,
    is_given,
    part,
    put,
    store,
    zero,
)
from convnest_core.kernels.simd.language.windows import FILTERS, window

FEW = 2  # filters; how many there are is even
MANY = FILTERS


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
def block_of(data, number, channels, plane, height, width, border):
    """Block `number` of images that lie one behind the other, an even number of planes each."""
    row = (width + 2 * border) * WIDTH
    first = number * (channels + channels % 2) * plane + border * row + border * WIDTH
    return Planes(data, first, row, plane, height, width)


@part
def clear_border(y, channels, border):
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


_few_rows = _rows_of(FEW)
_many_rows = _few_rows if MANY == FEW else _rows_of(MANY)


@inlined
def convolve(x, kernel, w, b, finish, y, places):
    """One block; w is [kernel.height, kernel.width, channels, filters]."""
    many = kernel.filters // MANY * MANY
    for i in range(0, 2 * y.height if finish.pooled else y.height, 2):
        for o in range(0, many, MANY):
            _many_rows(x, i, kernel, w, o, b, finish, y, places)
        for o in range(many, kernel.filters, FEW):
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
        block = block_of(y, number, channels, plane, height, width, border)
        clear_border(block, channels, border)
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
        block = block_of(x, number, channels, plane, height, width, border)
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
        source = block_of(x, number, channels, x_plane, height, width, border)
        target = block_of(y, number, filters, y_plane, y_height, y_width, border)
        found = block_of(places, number, filters, y_height * y_width * WIDTH, y_height, y_width, 0)
        clear_border(target, filters, border)
        convolve(source, kernel, w, b, finish, target, found)
