"""RMSProp."""

from __future__ import annotations

from collections.abc import Mapping

from convnest_core import kernels
from convnest_core.arrays import Array
from convnest_core.checks import boolean, number, positive
from convnest_core.parameters import Parameter

from .optimizer import Optimizer


class RMSProp(Optimizer):
    """Gradients divided by their recent size (Tieleman, Hinton 2012, in PyTorch's form).

    g = dL/dw + decay · w;  s ← α·s + (1-α)·g²;  u = g / (√s + ε);  w ← w - rate · u
    With momentum b ← momentum · b + u moves w instead of u. Where `centered`, the square of the
    mean gradient is taken from s.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        learning_rate: float = 0.01,
        alpha: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha = number("alpha", alpha, least=0, below=1)
        self.epsilon = positive("epsilon", epsilon, below=1)
        self.momentum = number("momentum", momentum, least=0, below=1)
        self.centered = boolean("centered", centered)
        slots = ["square"]
        slots += ["mean"] if self.centered else []
        slots += ["velocity"] if self.momentum else []
        super().__init__(
            parameters, learning_rate=learning_rate, weight_decay=weight_decay, slots=slots
        )

    def move(self, value: Array, gradient: Array, decay: float, *slots: Array) -> None:
        square, *others = slots
        kernels.rmsprop(
            value,
            gradient,
            square,
            others[0] if self.centered else None,
            others[-1] if self.momentum else None,
            rate=self.learning_rate,
            alpha=self.alpha,
            epsilon=self.epsilon,
            momentum=self.momentum,
            decay=decay,
        )
