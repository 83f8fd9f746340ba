"""Layers that change or demand a shape and compute nothing."""

from __future__ import annotations

from math import prod

from convnest_core.arrays import Array, Backward, DType, Shape, shown
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_CLASSES, integer
from convnest_core.errors import ShapeError
from convnest_core.module import Module
from convnest_core.run import Run


class Flatten(Module):
    """An image as a vector, channel by channel.

    The order is the one of channels-first libraries, not that of memory: so everything behind it
    (the first linear layer above all) has and stores the weights that such a library would have.
    The transposition costs microseconds, as images are small where they are flattened.
    """

    kind = "flatten"

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        return (prod(shape),)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        if x.ndim != 4:
            return x.reshape(len(x), -1), lambda dy: dy.reshape(x.shape)
        n, h, w, c = x.shape
        y = x.transpose(0, 3, 1, 2).reshape(n, -1)
        return y, lambda dy: dy.reshape(n, c, h, w).transpose(0, 2, 3, 1)


class Logits(Module):
    """Demands that the network ends in one value for each class, and passes them on."""

    kind = "logits"

    def __init__(self, classes: int) -> None:
        self.classes = integer("classes", classes, least=2, most=MAX_CLASSES)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        if shape != (self.classes,):
            raise ShapeError(
                f"the last layer must give {self.classes} values, one a class; "
                f"it gives {shown(shape)}"
            )
        return shape

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        return x, lambda dy: dy
