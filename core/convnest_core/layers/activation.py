"""Activations: one function, applied to every value."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import number, positive
from convnest_core.module import Module
from convnest_core.run import Run


class _Activation(Module):
    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return shape


class ReLU(_Activation):
    """max(x, 0); its slope at 0 is taken as 0."""

    kind = "relu"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = kernels.relu(x)
        return y, lambda dy: kernels.relu_backward(y, dy)


class LeakyReLU(_Activation):
    """x where it is positive, else slope · x (Maas, Hannun, Ng 2013)."""

    kind = "leaky_relu"

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = number("slope", slope, least=0, below=100)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        return x * self._factors(x), lambda dy: dy * self._factors(x)

    def _factors(self, x: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.slope))


class ELU(_Activation):
    """x where it is positive, else α · (eˣ - 1) (Clevert, Unterthiner, Hochreiter 2015)."""

    kind = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = positive("alpha", alpha, below=100)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))
        # y has x's sign, and the slope α · eˣ is y + α.
        return y, lambda dy: dy * np.where(y > 0, 1, y + self.alpha)


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)."""

    kind = "sigmoid"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = _sigmoid(x)
        return y, lambda dy: dy * y * (1.0 - y)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    kind = "tanh"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = np.tanh(x)
        return y, lambda dy: dy * (1.0 - y * y)


class SiLU(_Activation):
    """x · sigmoid(x), also called swish (Elfwing, Uchibe, Doya 2017)."""

    kind = "silu"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)

        def backward(dy: Array) -> Array:
            share = _sigmoid(x)
            return dy * (share * (1.0 + x * (1.0 - share)))

        return x * _sigmoid(x), backward


class GELU(_Activation):
    """x · Φ(x), with Φ the normal distribution itself, not its tanh likeness (Hendrycks 2016)."""

    kind = "gelu"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)

        def backward(dy: Array) -> Array:
            density = np.exp(-0.5 * x * x) * (1.0 / sqrt(2.0 * pi))
            return dy * (kernels.normal_cdf(x) + x * density)

        return x * kernels.normal_cdf(x), backward


class Softmax(_Activation):
    """eˣ / Σ eˣ over the last axis: probabilities, for losses that take them.

    A network that is trained with softmax cross-entropy ends in logits and needs none.
    """

    kind = "softmax"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def _sigmoid(x: Array) -> Array:
    """(1 + tanh(x/2)) / 2, which no x overflows."""
    y: Array = np.multiply(x, 0.5)
    np.tanh(y, out=y)
    y += 1.0
    y *= 0.5
    return y
