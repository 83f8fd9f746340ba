"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014)."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import number
from convnest_core.module import Module
from convnest_core.run import Run


class Dropout(Module):
    """In training, zero each value with probability `rate` and divide the rest by 1 - rate.

    Which values go depends on seed, epoch, sample and the layer's path alone, so not on how a batch
    is split. A dropout layer used twice in one network drops the same places both times.
    """

    kind = "dropout"

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = number("rate", rate, least=0.0, below=1.0)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return shape

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        self.expect(x)
        if not run.training or self.rate == 0.0:
            return x, lambda dy: dy
        path = self.built.path if self.built else ""
        drawn = run.words(f"dropout/{path}", batch=len(x), count=x[0].size)
        kept = (drawn >= np.uint32(self.rate * 2**32)).reshape(x.shape)
        factors = kept.astype(x.dtype)
        factors *= 1.0 / (1.0 - self.rate)
        return x * factors, lambda dy: dy * factors
