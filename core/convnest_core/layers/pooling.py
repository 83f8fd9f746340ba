"""Pooling: the largest or the mean value of each window, channel by channel."""

from __future__ import annotations

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Pair, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import pair
from convnest_core.errors import SpecError
from convnest_core.module import Module
from convnest_core.run import Run

from .convolution import window_output


class _Pool(Module):
    """A window of `size` that moves by `stride` (its own size, unless told otherwise)."""

    def __init__(
        self, size: int | Pair, *, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        self.size = pair("size", size, least=1)
        self.stride = self.size if stride is None else pair("stride", stride, least=1)
        self.padding = pair("padding", padding, least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.size, strict=True)):
            message = f"padding must be at most half the size {size}, got {padding}"
            raise SpecError(message, field="padding")

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        height, width = window_output(
            shape, kernel=self.size, stride=self.stride, padding=self.padding
        )
        return height, width, shape[2]


class MaxPool(_Pool):
    """The largest value of each window; padding never wins."""

    kind = "max_pool"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y, rows = kernels.max_pool(x, kernel=self.size, stride=self.stride, padding=self.padding)

        def backward(dy: Array) -> Array:
            return kernels.max_pool_backward(
                x, rows, y, dy, kernel=self.size, stride=self.stride, padding=self.padding
            )

        return y, backward


class AvgPool(_Pool):
    """The mean of each window; padding counts as zeros."""

    kind = "avg_pool"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        size = x.shape[1], x.shape[2]
        y = kernels.average_pool(x, kernel=self.size, stride=self.stride, padding=self.padding)

        def backward(dy: Array) -> Array:
            return kernels.average_pool_backward(
                dy, size, kernel=self.size, stride=self.stride, padding=self.padding
            )

        return y, backward
