"""Convolution over images."""

from __future__ import annotations

from typing import cast

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Pair, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_FILTERS, boolean, choice, integer, pair
from convnest_core.errors import ShapeError
from convnest_core.initialisers import STARTS, Start, deviation
from convnest_core.kernels.windows import slid
from convnest_core.module import Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run


def window_output(shape: Shape, *, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """The (height, width) that windows make of an image of `shape` (H, W, C); or a ShapeError."""
    if len(shape) != 3:
        raise ShapeError(f"takes images (height, width, channels), got {len(shape)} dimension(s)")
    height, width = slid((shape[0], shape[1]), kernel=kernel, stride=stride, padding=padding)
    if height < 1 or width < 1:
        around = f" with padding {padding[0]}, {padding[1]}" if any(padding) else ""
        raise ShapeError(
            f"kernel {kernel[0]}×{kernel[1]} does not fit into {shape[0]}×{shape[1]} input{around}"
        )
    return height, width


class Conv2d(Module):
    """y[n,i,j,o] = b[o] + Σ x[n, i·s+u-p, j·s+v-p, c] · w[u,v,c,o], zero outside the image."""

    kind = "conv"

    def __init__(
        self,
        filters: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
        start: Start = "he",
    ) -> None:
        self.filters = integer("filters", filters, least=1, most=MAX_FILTERS)
        self.kernel = pair("kernel", kernel, least=1)
        self.stride = pair("stride", stride, least=1)
        self.padding = pair("padding", padding, least=0)
        self.start = cast(Start, choice("start", start, among=STARTS))
        self._has_bias = boolean("bias", bias)
        self._parameters: dict[str, Parameter] = {}

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        height, width = window_output(
            shape, kernel=self.kernel, stride=self.stride, padding=self.padding
        )
        area, channels = self.kernel[0] * self.kernel[1], shape[2]
        width_of_start = deviation(self.start, fan_in=area * channels, fan_out=area * self.filters)
        weight_shape = (*self.kernel, channels, self.filters)
        weight = rng.weight(
            weight_shape, deviation=width_of_start, stored_axes=(3, 2, 0, 1), dtype=dtype
        )
        self._parameters = {"weight": weight}
        if self._has_bias:
            self._parameters["bias"] = rng.vector(self.filters, 0, dtype=dtype)
        return height, width, self.filters

    def own_parameters(self) -> dict[str, Parameter]:
        return self._parameters

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        self.expect(x)
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        y = kernels.convolve(
            x,
            weight.value,
            None if bias is None else bias.value,
            stride=self.stride,
            padding=self.padding,
        )

        def backward(dy: Array) -> Array:
            gradients = kernels.convolve_backward(
                x,
                weight.value,
                dy,
                stride=self.stride,
                padding=self.padding,
                bias=bias is not None,
                input_gradient=run.input_gradient,
            )
            weight.grad += gradients.dw
            if bias is not None and gradients.db is not None:
                bias.grad += gradients.db
            return unread(x) if gradients.dx is None else gradients.dx

        return y, backward


def unread(x: Array) -> Array:
    """Stands for an input gradient that nobody reads: x's shape, zero, and no memory."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)
