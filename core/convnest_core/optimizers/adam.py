"""Adam, and AdamW with its weight decay apart from the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from convnest_core import kernels
from convnest_core.arrays import Array
from convnest_core.checks import number, positive
from convnest_core.parameters import Parameter

from .optimizer import Optimizer


class Adam(Optimizer):
    """Adaptive moments (Kingma, Ba 2014, in PyTorch's form).

    g = dL/dw + decay · w;  m ← m + (1-β₁)(g - m);  v ← β₂·v + (1-β₂)·g²
    w ← w - rate/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε)
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.beta1 = number("beta1", beta1, least=0, below=1)
        self.beta2 = number("beta2", beta2, least=0, below=1)
        self.epsilon = positive("epsilon", epsilon, below=1)
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            slots=["mean", "square"],
        )

    def counts_steps(self) -> bool:
        return True

    def move(self, value: Array, gradient: Array, decay: float, *slots: Array) -> None:
        mean, square = slots
        kernels.adam(
            value,
            gradient,
            mean,
            square,
            rate=self.learning_rate / (1.0 - self.beta1**self.steps),
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            decay=decay,
            spread=sqrt(1.0 - self.beta2**self.steps),
        )


class AdamW(Adam):
    """Adam whose weights decay by themselves (Loshchilov, Hutter 2017): w ← (1 - rate·decay)·w."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )

    def move(self, value: Array, gradient: Array, decay: float, *slots: Array) -> None:
        if decay:
            value *= 1.0 - self.learning_rate * decay
        super().move(value, gradient, 0.0, *slots)
