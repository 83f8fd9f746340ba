"""Auxiliary heads: classifiers beside the trunk that push gradients into its middle."""

from __future__ import annotations

from .arrays import Array, Backward, DType, Shape, shown
from .building import Initialiser
from .checks import positive
from .errors import CoreError, ShapeError
from .module import Module
from .run import Run


class Auxiliary(Module):
    """Passes x on; in training, `head` classifies it as well (Szegedy et al. 2015, section 5).

    The head's loss is `run.criterion` of its logits, and `weight` times its gradient joins the
    trunk's. It is no part of the network's output, nor of the loss that is shown, so that losses
    of training and evaluation compare. In evaluation the head does not run.
    """

    kind = "auxiliary"

    def __init__(self, head: Module, *, weight: float = 0.3) -> None:
        self.head = head
        self.weight = positive("weight", weight, below=1000)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        logits = rng.build("", self.head, shape, dtype=dtype)
        if len(logits) != 1:
            raise ShapeError(f"the head must give one value for each class, got {shown(logits)}")
        return shape

    def children(self) -> dict[str, Module]:
        return {"": self.head}

    def __call__(self, x: Array) -> Array:
        return x

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        self.expect(x)
        if not run.training:
            return x, lambda dy: dy
        if run.criterion is None:
            raise CoreError(
                f"{self._name()}: training needs the loss of its logits; "
                "give it with Run(criterion=...)"
            )
        logits, step = self.head.forward(x, run.with_input_gradient())
        _, dlogits = run.criterion(logits)
        return x, lambda dy: dy + step(dlogits * self.weight)
