"""Optimizers: they read gradients and move parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from .arrays import Array, shown
from .checks import number
from .errors import SpecError, StateError
from .parameters import Parameter

_LARGEST_RATE = 1e6


class SGD:
    """Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form).

    g = dL/dw + decay · w;  v ← momentum · v + g;  w ← w - rate · v  (Nesterov: g + momentum · v).
    Weight decay moves weights only, neither biases nor BatchNorm's scale and shift.
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
        self.learning_rate = number("learning_rate", learning_rate, least=0, below=_LARGEST_RATE)
        self.momentum = number("momentum", momentum, least=0, below=1)
        self.weight_decay = number("weight_decay", weight_decay, least=0, below=_LARGEST_RATE)
        if nesterov and not self.momentum:
            raise SpecError("nesterov needs a momentum above 0", field="nesterov")
        self.nesterov = nesterov
        self._parameters = dict(parameters)
        self._velocities = {
            name: np.zeros_like(parameter.value)
            for name, parameter in self._parameters.items()
            if self.momentum
        }

    def step(self) -> None:
        """Move every parameter once, by the gradient it holds; the gradients stay as they are."""
        for name, parameter in self._parameters.items():
            move = parameter.grad
            if self.weight_decay and parameter.decay:
                move = move + self.weight_decay * parameter.value
            if self.momentum:
                velocity = self._velocities[name]
                velocity *= self.momentum
                velocity += move
                move = move + self.momentum * velocity if self.nesterov else velocity
            parameter.value -= self.learning_rate * move

    def state(self) -> dict[str, Array]:
        """Copies of what a bit-exact resume needs: `velocity.<parameter>` for each one."""
        return {f"velocity.{name}": array.copy() for name, array in self._velocities.items()}

    def load_state(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over what `state` returned. Raises StateError where names or shapes differ."""
        wanted = {f"velocity.{name}": array for name, array in self._velocities.items()}
        missing = [name for name in wanted if name not in arrays]
        unexpected = [name for name in arrays if name not in wanted]
        mismatching = [
            f"{name} ({arrays[name].dtype} {shown(arrays[name].shape)}, "
            f"not {array.dtype} {shown(array.shape)})"
            for name, array in wanted.items()
            if name in arrays
            and (arrays[name].shape, arrays[name].dtype) != (array.shape, array.dtype)
        ]
        if missing or unexpected or mismatching:
            raise StateError(
                "the stored state is not this optimizer's",
                missing=missing,
                unexpected=unexpected,
                mismatching=mismatching,
            )
        for name, array in wanted.items():
            array[...] = arrays[name]
