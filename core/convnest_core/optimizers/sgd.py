"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Mapping

from convnest_core import kernels
from convnest_core.arrays import Array
from convnest_core.checks import number
from convnest_core.errors import SpecError
from convnest_core.parameters import Parameter

from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form).

    g = dL/dw + decay · w;  v ← momentum · v + g;  w ← w - rate · v  (Nesterov: g + momentum · v).
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        learning_rate: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = number("momentum", momentum, least=0, below=1)
        if nesterov and not self.momentum:
            raise SpecError("nesterov needs a momentum above 0", field="nesterov")
        self.nesterov = nesterov
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            slots=["velocity"] if self.momentum else [],
        )

    def move(self, value: Array, gradient: Array, decay: float, *slots: Array) -> None:
        kernels.sgd(
            value,
            gradient,
            slots[0] if slots else None,
            rate=self.learning_rate,
            momentum=self.momentum,
            decay=decay,
            nesterov=self.nesterov,
        )
