"""Batch normalisation (Ioffe, Szegedy 2015), for images (by channel) and for vectors."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import number
from convnest_core.kernels import column_sums, per_channel
from convnest_core.module import Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run


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
        self.expect(x)
        return self._by_batch(x, run) if run.training and not self.frozen else self._by_running(x)

    def _by_batch(self, x: Array, run: Run) -> tuple[Array, Backward]:
        scale, shift = self._parameters["weight"], self._parameters["bias"]
        count = run.batch_of(x) * (x[0].size // x.shape[-1])
        mean = run.all_sum(column_sums(x)) / count
        centred = x - per_channel(mean, x)
        variance = run.all_sum(column_sums(centred * centred)) / count
        self._remember(mean, variance * (count / max(count - 1, 1)))
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        normal = np.multiply(centred, per_channel(inverse, x), out=centred)
        y = normal * per_channel(scale.value, x)
        y += per_channel(shift.value, x)

        def backward(dy: Array) -> Array:
            # dx = γ/σ · (dy - mean(dy) - x̂ · mean(dy · x̂)), means over the batch.
            sums = np.stack([column_sums(dy), column_sums(dy * normal)])
            shift.grad += sums[0]
            scale.grad += sums[1]
            dshift, dscale = run.all_sum(sums)
            dx = normal * per_channel(dscale / -count, x)
            dx += dy
            dx -= per_channel(dshift / count, x)
            dx *= per_channel(scale.value * inverse, x)
            return dx

        return y, backward

    def _by_running(self, x: Array) -> tuple[Array, Backward]:
        scale, shift = self._parameters["weight"], self._parameters["bias"]
        mean, variance = self._buffers["running_mean"], self._buffers["running_var"]
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        factor = per_channel(scale.value * inverse, x)
        y = x * factor
        y += per_channel(shift.value - mean * scale.value * inverse, x)

        def backward(dy: Array) -> Array:
            shift.grad += column_sums(dy)
            normal = (x - per_channel(mean, x)) * per_channel(inverse, x)
            scale.grad += column_sums(dy * normal)
            return dy * factor

        return y, backward

    def _remember(self, mean: Array, variance: Array) -> None:
        for name, seen in (("running_mean", mean), ("running_var", variance)):
            running = self._buffers[name]
            running += self.momentum * (seen - running)
