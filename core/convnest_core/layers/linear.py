"""The fully connected layer."""

from __future__ import annotations

from typing import cast

import numpy as np

from convnest_core.arrays import Array, Backward, DType, Shape, shown
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_FEATURES, boolean, choice, integer
from convnest_core.errors import ShapeError
from convnest_core.initialisers import STARTS, Start, deviation
from convnest_core.kernels import column_sums
from convnest_core.module import Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run

from .convolution import unread


class Linear(Module):
    """y = x · W + b."""

    kind = "linear"

    def __init__(self, features: int, *, bias: bool = True, start: Start = "he") -> None:
        self.features = integer("features", features, least=1, most=MAX_FEATURES)
        self.start = cast(Start, choice("start", start, among=STARTS))
        self._has_bias = boolean("bias", bias)
        self._parameters: dict[str, Parameter] = {}

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        if len(shape) != 1:
            raise ShapeError(f"takes vectors, got {shown(shape)}; put a flatten layer before it")
        width = deviation(self.start, fan_in=shape[0], fan_out=self.features)
        weight_shape = (shape[0], self.features)
        weight = rng.weight(weight_shape, deviation=width, stored_axes=(1, 0), dtype=dtype)
        self._parameters = {"weight": weight}
        if self._has_bias:
            self._parameters["bias"] = rng.vector(self.features, 0, dtype=dtype)
        return (self.features,)

    def own_parameters(self) -> dict[str, Parameter]:
        return self._parameters

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        self.expect(x)
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        y = np.matmul(x, weight.value)
        if bias is not None:
            y += bias.value

        def backward(dy: Array) -> Array:
            weight.grad += np.matmul(x.T, dy)
            if bias is not None:
                bias.grad += column_sums(dy)
            return np.matmul(dy, weight.value.T) if run.input_gradient else unread(x)

        return y, backward
