"""Activations: one function, applied to every value."""

from __future__ import annotations

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.module import Module
from convnest_core.run import Run


class _Activation(Module):
    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return shape


class ReLU(_Activation):
    """max(x, 0); its slope at 0 is taken as 0."""

    kind = "relu"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        y = kernels.relu(x)
        return y, lambda dy: kernels.relu_backward(y, dy)


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ), written as (1 + tanh(x/2)) / 2, which no x overflows."""

    kind = "sigmoid"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        y = np.multiply(x, 0.5)
        np.tanh(y, out=y)
        y += 1.0
        y *= 0.5
        return y, lambda dy: dy * y * (1.0 - y)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    kind = "tanh"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        y = np.tanh(x)
        return y, lambda dy: dy * (1.0 - y * y)
