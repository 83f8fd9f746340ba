"""Convolutions of small images with few channels, with the batch as the vector axis.

Between the convolutions of a chain the images stay in blocks of `width` images, the innermost axis;
`enter` and `leave` lay them so and back. A last block that is not full holds images of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .machine import machine
from .native import Native

_enter = Native("batch_vector", "batch_enter")
_leave = Native("batch_vector", "batch_leave")
_forward = Native("batch_vector", "batch_forward")
_backward = Native("batch_vector_gradient", "batch_backward")

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Stage:
    """A convolution of stride 1, then ReLU and 2×2 max pooling where they are asked for."""

    channels: int
    filters: int
    kernel: Pair
    padding: Pair
    size: Pair  # of its input
    rectified: bool
    pooled: bool

    @property
    def convolved(self) -> Pair:
        """The image's size before pooling."""
        (h, w), (kh, kw), (down, right) = self.size, self.kernel, self.padding
        return h + 2 * down - kh + 1, w + 2 * right - kw + 1

    @property
    def result(self) -> Pair:
        """The size of its output."""
        height, width = self.convolved
        return (height // 2, width // 2) if self.pooled else (height, width)

    @property
    def shapes(self) -> tuple[int, ...]:
        """As the kernels take them."""
        even = _even(self.filters)
        return self.channels, even, *self.kernel, *self.padding, *self.size, *self.result


class Blocks(NamedTuple):
    """`images` images of so many channels and `size`, with a border of zeros."""

    data: Array
    images: int
    channels: int
    size: Pair
    border: int

    @property
    def number(self) -> int:
        """How many blocks there are."""
        return -(-self.images // _width())

    @property
    def plane(self) -> int:
        """Values of one channel of a block."""
        return _plane(self.size, self.border)


class Kept(NamedTuple):
    """What `backward` needs to know of a stage's forward pass."""

    stage: Stage
    x: Blocks
    y: Blocks
    places: Array | None  # of the largest values, where they are pooled


class Gradients(NamedTuple):
    """None for what was not asked for."""

    dx: Blocks | None
    dw: Array | None
    db: Array | None


def fewest_images() -> int:
    """How many images are worth a block."""
    return _width() // 2


def border_of(stages: Sequence[Stage]) -> int:
    """The border that these stages' images need: a kernel may look so far beyond the edge."""
    return max(1, *(max(stage.padding) for stage in stages))


def enter(x: Array, *, border: int) -> Blocks:
    """x [N, H, W, C], which may be any view, in blocks."""
    n, height, width, channels = x.shape
    blocks = _empty(n, channels, (height, width), border)
    if channels % 2 and not border:
        blocks.data.fill(0)  # of a gradient, the channel that makes them even is read too
    strides = (stride // x.itemsize for stride in x.strides)
    _enter(x, blocks.data, n, channels, height, width, border, blocks.plane, *strides)
    return blocks


def leave(blocks: Blocks, y: Array) -> Array:
    """Write the blocks to y [N, H, W, C], which may be any view, and return it."""
    strides = (stride // y.itemsize for stride in y.strides)
    _leave(
        blocks.data,
        y,
        blocks.images,
        blocks.channels,
        *blocks.size,
        blocks.border,
        blocks.plane,
        *strides,
    )
    return y


def forward(stage: Stage, x: Blocks, w: Array, b: Array | None) -> Kept:
    """One stage of x; w is [kernel height, kernel width, channels, filters]."""
    y = _empty(x.images, stage.filters, stage.result, x.border)
    places = None
    if stage.pooled:
        places = np.empty(x.number * _even(stage.filters) * _plane(stage.result, 0), _FLOAT32)
    _forward(
        x.data,
        _with_even_filters(w),
        None if b is None else _with_even_filters(b[None]),
        y.data,
        places,
        x.number,
        *stage.shapes,
        x.border,
        x.plane,
        y.plane,
        int(stage.rectified),
    )
    return Kept(stage, x, y, places)


def backward(
    kept: Kept,
    w: Array,
    dy: Blocks,
    *,
    input_gradient: bool,
    weight_gradient: bool,
    bias: bool,
) -> Gradients:
    """The gradients of `forward` for dy, which has no border; neither has dx."""
    stage, x, y, places = kept
    channels, filters, (kh, kw) = stage.channels, _even(stage.filters), stage.kernel
    turned = dx = dw = db = None
    if input_gradient:
        turned = _with_even_filters(w[::-1, ::-1].swapaxes(2, 3), inputs=filters)
        dx = _empty(x.images, channels, stage.size, 0)
    if weight_gradient:
        dw = np.empty((kh, kw, channels, filters), _FLOAT32)
        db = np.empty(filters, _FLOAT32) if bias else None
    g_plane = _plane(stage.convolved, 1)
    _backward(
        x.data,
        turned,
        y.data,
        places,
        dy.data,
        None if dx is None else dx.data,
        dw,
        db,
        scratch("batch gradient", (filters * g_plane,), _FLOAT32),
        scratch("batch sums", ((kh * kw * channels + 1) * filters, _width()), _FLOAT32),
        x.number,
        *stage.shapes,
        x.border,
        x.plane,
        y.plane,
        g_plane,
        int(stage.rectified),
    )
    if filters > stage.filters:
        dw = None if dw is None else dw[..., :-1]
        db = None if db is None else db[:-1]
    return Gradients(dx, dw, db)


def _empty(images: int, channels: int, size: Pair, border: int) -> Blocks:
    count = -(-images // _width())
    values = count * _even(channels) * _plane(size, border)
    return Blocks(np.empty(values, _FLOAT32), images, channels, size, border)


def _plane(size: Pair, border: int) -> int:
    """Without a border exactly the image; else so that channels do not share places in the cache.

    A tile reads the same pixels of all channels: a distance of 4096 bytes would put them all into
    one set of an L1 cache. An odd multiple of eight lines spreads them.
    """
    height, width = size
    vectors = (height + 2 * border) * (width + 2 * border)
    if border:
        vectors += (8 - vectors) % 16
    return vectors * _width()


def _even(count: int) -> int:
    return count + count % 2


def _with_even_filters(w: Array, *, inputs: int = 0) -> Array:
    """w [..., channels, filters] contiguous, with zeros up to so many inputs and even filters."""
    *outer, channels, count = w.shape
    wanted = (*outer, max(channels, inputs), _even(count))
    if wanted == w.shape:
        return np.ascontiguousarray(w)
    wider = np.zeros(wanted, w.dtype)
    wider[..., :channels, :count] = w
    return wider


def _width() -> int:
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    return found.width
