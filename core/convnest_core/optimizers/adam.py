"""Adam, and AdamW with its weight decay apart from the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

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
        gradient = self._decayed(value, gradient, decay)
        mean += (1.0 - self.beta1) * (gradient - mean)
        square *= self.beta2
        square += (1.0 - self.beta2) * gradient * gradient
        width = np.sqrt(square)
        width /= sqrt(1.0 - self.beta2**self.steps)
        width += self.epsilon
        value -= (self.learning_rate / (1.0 - self.beta1**self.steps)) * (mean / width)

    def _decayed(self, value: Array, gradient: Array, decay: float) -> Array:
        """The gradient with the decay in it."""
        return gradient + decay * value if decay else gradient


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

    def _decayed(self, value: Array, gradient: Array, decay: float) -> Array:
        value *= 1.0 - self.learning_rate * decay
        return gradient
