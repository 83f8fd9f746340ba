"""Pooling: the largest or the mean value of each window, channel by channel."""

from __future__ import annotations

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Pair, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import boolean, pair
from convnest_core.errors import SpecError
from convnest_core.module import Module
from convnest_core.run import Run

from .convolution import window_output


class _Pool(Module):
    """A window of `size` that moves by `stride` (its own size, unless told otherwise).

    With `ceil` a last window may hang over the bottom and the right edge, so that no row or column
    of the image is left out.
    """

    def __init__(
        self,
        size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil: bool = False,
    ) -> None:
        self.size = pair("size", size, least=1)
        self.stride = self.size if stride is None else pair("stride", stride, least=1)
        self.padding = pair("padding", padding, least=0)
        self.ceil = boolean("ceil", ceil)
        if any(2 * p > k for p, k in zip(self.padding, self.size, strict=True)):
            message = f"padding must be at most half the size {size}, got {padding}"
            raise SpecError(message, field="padding")

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        height, width = window_output(
            shape, kernel=self.size, stride=self.stride, padding=self.padding, ceil=self.ceil
        )
        return height, width, shape[2]


class MaxPool(_Pool):
    """The largest value of each window; padding never wins."""

    kind = "max_pool"

    def __call__(self, x: Array) -> Array:
        self.expect(x)
        return kernels.max_pool(
            x, kernel=self.size, stride=self.stride, padding=self.padding, ceil=self.ceil
        )

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        size = x.shape[1], x.shape[2]
        y, places = kernels.max_pool_places(
            x, kernel=self.size, stride=self.stride, padding=self.padding, ceil=self.ceil
        )

        def backward(dy: Array) -> Array:
            return kernels.max_pool_backward(
                dy, places, size, kernel=self.size, stride=self.stride, padding=self.padding
            )

        return y, backward


class AvgPool(_Pool):
    """The mean of each window.

    Padding counts as zeros, unless `count_padding` is false; what lies beyond it never counts.
    """

    kind = "avg_pool"

    def __init__(
        self,
        size: int | Pair,
        *,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil: bool = False,
        count_padding: bool = True,
    ) -> None:
        super().__init__(size, stride=stride, padding=padding, ceil=ceil)
        self.count_padding = boolean("count_padding", count_padding)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        size = x.shape[1], x.shape[2]
        y = kernels.average_pool(
            x,
            kernel=self.size,
            stride=self.stride,
            padding=self.padding,
            ceil=self.ceil,
            count_padding=self.count_padding,
        )

        def backward(dy: Array) -> Array:
            return kernels.average_pool_backward(
                dy,
                size,
                kernel=self.size,
                stride=self.stride,
                padding=self.padding,
                count_padding=self.count_padding,
            )

        return y, backward
