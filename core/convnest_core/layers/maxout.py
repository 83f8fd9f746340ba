"""Maxout (Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013)."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import integer
from convnest_core.errors import ShapeError
from convnest_core.module import Module
from convnest_core.run import Run


class Maxout(Module):
    """The largest of every `pieces` neighbouring channels: max(w₁·x + b₁, w₂·x + b₂) for two.

    The layer before it gives `pieces` times as many channels or features as are wanted.
    """

    kind = "maxout"

    def __init__(self, pieces: int = 2) -> None:
        self.pieces = integer("pieces", pieces, least=2, most=64)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        if shape[-1] % self.pieces:
            raise ShapeError(
                f"takes channels in groups of {self.pieces}, got {shape[-1]}, "
                f"which {self.pieces} does not divide"
            )
        return (*shape[:-1], shape[-1] // self.pieces)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        pieces = x.reshape(*x.shape[:-1], -1, self.pieces)
        largest = pieces.argmax(axis=-1, keepdims=True).astype(np.uint8)

        def backward(dy: Array) -> Array:
            chosen = largest == np.arange(self.pieces, dtype=np.uint8)
            dx: Array = np.multiply(dy[..., None], chosen)
            return dx.reshape(x.shape)

        y: Array = pieces.max(axis=-1)
        return y, backward
