"""Batch normalisation (Ioffe, Szegedy 2015), for images (by channel) and for vectors."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, BackwardOfTwo, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import number
from convnest_core.kernels import Affine
from convnest_core.module import Forward, Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run

from .activation import ReLU


class _Normal(NamedTuple):
    """What one pass normalised by, [C] each, and over how many values it was taken.

    Running statistics were not taken over the pass at all: None.
    """

    mean: Array
    inverse: Array  # 1 / √(σ² + ε)
    by: Affine  # γ/σ, and β - μ · γ/σ
    values: int | None


class BatchNorm(Module):
    """y = γ · (x - μ) / √(σ² + ε) + β.

    Training takes μ and σ² from the batch (over all but the last axis, and over all members of a
    team) and moves the running ones towards them by `momentum`; evaluation, and a frozen layer,
    take the running ones as they are. The running variance is the unbiased one, as in PyTorch, so
    that its state means the same.
    """

    kind = "batch_norm"

    def __init__(self, *, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        self.momentum = number("momentum", momentum, least=0.0, below=1.0)
        self.epsilon = number("epsilon", epsilon, least=1e-12, below=1.0)
        self._parameters: dict[str, Parameter] = {}
        self._buffers: dict[str, Array] = {}

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        channels = shape[-1]
        self._parameters = {
            "weight": rng.vector(channels, 1, dtype=dtype),
            "bias": rng.vector(channels, 0, dtype=dtype),
        }
        self._buffers = {
            "running_mean": rng.constant((channels,), 0, dtype=dtype),
            "running_var": rng.constant((channels,), 1, dtype=dtype),
        }
        return shape

    def own_parameters(self) -> dict[str, Parameter]:
        return self._parameters

    def own_buffers(self) -> dict[str, Array]:
        return self._buffers

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return self._forward(x, run, rectify=False)

    def forward_with(self, following: Module) -> Forward | None:
        return partial(self._forward, rectify=True) if type(following) is ReLU else None

    def forward_onto(self, x: Array, residual: Array, run: Run) -> tuple[Array, BackwardOfTwo]:
        self.expect(x)
        normal = self._normal(x, run)
        y = kernels.normalise(x, normal.by, residual=residual, rectify=True)

        def backward(dy: Array) -> tuple[Array, Array]:
            gradient = kernels.relu_backward(y, dy)
            return self._backward(gradient, x, normal, run, rectified=False), gradient

        return y, backward

    def _forward(self, x: Array, run: Run, *, rectify: bool) -> tuple[Array, Backward]:
        self.expect(x)
        normal = self._normal(x, run)
        y = kernels.normalise(x, normal.by, rectify=rectify)
        return y, lambda dy: self._backward(dy, x, normal, run, rectified=rectify)

    def _normal(self, x: Array, run: Run) -> _Normal:
        if run.training and not self.frozen:
            values = run.batch_of(x) * (x[0].size // x.shape[-1])
            mean, square = run.all_sum(kernels.channel_moments(x)) / values
            variance = np.maximum(square - mean * mean, 0.0)  # rounding may take it below zero
            self._remember(mean, variance * (values / max(values - 1, 1)))
        else:
            values = None
            mean, variance = self._buffers["running_mean"], self._buffers["running_var"]
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        scale = self._parameters["weight"].value * inverse
        shift = self._parameters["bias"].value - mean * scale
        by = Affine(scale.astype(x.dtype), shift.astype(x.dtype))
        return _Normal(mean, inverse, by, values)

    def _backward(
        self, dy: Array, x: Array, normal: _Normal, run: Run, *, rectified: bool
    ) -> Array:
        """dx = γ/σ · (g - mean(g) - x̂ · mean(g · x̂)), means over the batch, g being dy behind ReLU.

        As x̂ = (x - μ)/σ, that is g times one factor a channel, x times another, and a term.
        """
        mean, inverse, by, values = normal
        sums = kernels.normalise_sums(
            dy, x, mean.astype(x.dtype), rectified=by if rectified else None
        )
        self._parameters["bias"].grad += sums[0]
        self._parameters["weight"].grad += sums[1] * inverse
        slope = None
        if values is not None:
            means = run.all_sum(sums) / values
            steep = -by.scale * inverse**2 * means[1]
            low = -by.scale * means[0] - steep * mean
            slope = Affine(steep.astype(x.dtype), low.astype(x.dtype))
        return kernels.normalise_backward(dy, x, by=by, slope=slope, rectified=rectified)

    def _remember(self, mean: Array, variance: Array) -> None:
        for name, seen in (("running_mean", mean), ("running_var", variance)):
            running = self._buffers[name]
            running += self.momentum * (seen - running)
