"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import number
from convnest_core.errors import ShapeError
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
        kept = self._kept(x, run)  # a byte a value until the backward pass
        factor = 1.0 / (1.0 - self.rate)

        def dropped(values: Array) -> Array:
            out: Array = np.multiply(values, kept)
            out *= factor
            return out

        return dropped(x), dropped

    def _kept(self, x: Array, run: Run) -> npt.NDArray[np.bool]:
        return self._draw(run, batch=len(x), count=x[0].size).reshape(x.shape)

    def _draw(self, run: Run, *, batch: int, count: int) -> npt.NDArray[np.bool]:
        path = self.built.path if self.built else ""
        drawn = run.words(f"dropout/{path}", batch=batch, count=count)
        return drawn >= np.uint32(self.rate * 2**32)


class SpatialDropout(Dropout):
    """Dropout of whole channels of an image (Tompson, Goroshin, Jain, LeCun, Bregler 2015)."""

    kind = "spatial_dropout"

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        if len(shape) != 3:
            message = f"takes images (height, width, channels), got {len(shape)} dimension(s)"
            raise ShapeError(message)
        return shape

    def _kept(self, x: Array, run: Run) -> npt.NDArray[np.bool]:
        return self._draw(run, batch=len(x), count=x.shape[-1])[:, None, None]
