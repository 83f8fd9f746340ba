"""Images brought to a wanted size: by means, by repeating pixels, by leaving some out."""

from __future__ import annotations

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Pair, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_FILTERS, integer, pair
from convnest_core.errors import ShapeError
from convnest_core.module import Module
from convnest_core.run import Run


def _images(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ShapeError(f"takes images (height, width, channels), got {len(shape)} dimension(s)")
    return shape


class GlobalAvgPool(Module):
    """The mean of each channel, as a vector (Lin, Chen, Yan 2013)."""

    kind = "global_avg_pool"

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return (_images(shape)[2],)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        n, height, width, c = x.shape
        share = np.full((1, height * width), 1.0 / (height * width), x.dtype)
        y = np.matmul(share, x.reshape(n, -1, c))[:, 0]

        def backward(dy: Array) -> Array:
            return kernels.average_pool_backward(
                dy[:, None, None],
                (height, width),
                kernel=(height, width),
                stride=(1, 1),
                padding=(0, 0),
            )

        return y, backward


class AdaptiveAvgPool(Module):
    """Means of windows that cover an image of any size in `size` steps, as PyTorch lays them.

    Window i of m covers rows ⌊i·H/m⌋ … ⌈(i+1)·H/m⌉ - 1; neighbours may share a row. Where the
    image is smaller than `size`, rows repeat.
    """

    kind = "adaptive_avg_pool"

    def __init__(self, size: int | Pair) -> None:
        self.size = pair("size", size, least=1)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return (*self.size, _images(shape)[2])

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        if x.shape[1:3] == self.size:
            return x, lambda dy: dy
        rows, columns = (
            _means(n, m, x.dtype) for n, m in zip(x.shape[1:3], self.size, strict=True)
        )
        return _resized(x, rows, columns), lambda dy: _resized(dy, rows.T, columns.T)


class Upsample(Module):
    """Each pixel `factor` times in each direction (nearest neighbour)."""

    kind = "upsample"

    def __init__(self, factor: int | Pair = 2) -> None:
        self.factor = pair("factor", factor, least=1)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        height, width, channels = _images(shape)
        return height * self.factor[0], width * self.factor[1], channels

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        n, height, width, c = x.shape
        down, right = self.factor

        def backward(dy: Array) -> Array:
            dx: Array = dy.reshape(n, height, down, width, right, c).sum(axis=(2, 4))
            return dx

        return x.repeat(down, axis=1).repeat(right, axis=2), backward


class Subsample(Module):
    """Every `stride`-th pixel, with channels of zeros after the image's own, up to `channels`.

    The shortcut without parameters between residual stages (He et al. 2015, option A).
    """

    kind = "subsample"

    def __init__(self, channels: int, *, stride: int | Pair = 2) -> None:
        self.channels = integer("channels", channels, least=1, most=MAX_FILTERS)
        self.stride = pair("stride", stride, least=1)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        height, width, channels = _images(shape)
        if channels > self.channels:
            raise ShapeError(f"makes {self.channels} channels, got more: {channels}")
        down, right = self.stride
        return -(-height // down), -(-width // right), self.channels

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        down, right = self.stride
        taken = x[:, ::down, ::right]
        y = np.zeros((*taken.shape[:3], self.channels), x.dtype)
        y[..., : x.shape[3]] = taken

        def backward(dy: Array) -> Array:
            dx = np.zeros_like(x)
            dx[:, ::down, ::right] = dy[..., : x.shape[3]]
            return dx

        return y, backward


def _means(size: int, count: int, dtype: DType) -> Array:
    """[count, size]: row i holds window i's share of each place."""
    shares = np.zeros((count, size), dtype)
    for i in range(count):
        first, last = i * size // count, -(-(i + 1) * size // count)
        shares[i, first:last] = 1.0 / (last - first)
    return shares


def _resized(x: Array, rows: Array, columns: Array) -> Array:
    """x [N, H, W, C] times rows [H', H] and columns [W', W], along its axes."""
    n, height, width, c = x.shape
    tall = np.matmul(rows, x.reshape(n, height, width * c))
    both: Array = np.matmul(columns, tall.reshape(n * len(rows), width, c))
    return both.reshape(n, len(rows), len(columns), c)
