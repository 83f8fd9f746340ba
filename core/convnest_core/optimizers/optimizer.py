"""What every optimizer is: settings, arrays beside the parameters, and a state to resume from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, shown
from convnest_core.checks import number
from convnest_core.errors import StateError
from convnest_core.parameters import Parameter

LARGEST_RATE = 1e6
_TILE = 1 << 17  # values: few calls of NumPy, and what a tile takes stays in the cache
_STEPS = "steps"


class Optimizer(ABC):
    """Moves parameters against their gradients.

    It keeps arrays of its own beside each parameter (`slots`). Weight decay moves weights only,
    neither biases nor BatchNorm's scale and shift. Parameters that are frozen when the optimizer is
    made have no slots and never move; those frozen later do not move while they are.
    `learning_rate` may be set anew before any step.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        learning_rate: float,
        weight_decay: float,
        slots: Sequence[str],
    ) -> None:
        self.learning_rate = number("learning_rate", learning_rate, least=0, below=LARGEST_RATE)
        self.weight_decay = number("weight_decay", weight_decay, least=0, below=LARGEST_RATE)
        self.steps = 0
        self._parameters = {n: one for n, one in parameters.items() if not one.frozen}
        self._slots = {
            slot: {name: np.zeros_like(one.value) for name, one in self._parameters.items()}
            for slot in slots
        }

    @abstractmethod
    def move(self, value: Array, gradient: Array, decay: float, *slots: Array) -> None:
        """Move a tile of a parameter's values in place, and its slots with them."""

    def step(self) -> None:
        """Move every parameter once, by the gradient it holds; the gradients stay as they are."""
        self.step_by(
            (name, slice(0, parameter.value.size), parameter.grad.reshape(-1, copy=False))
            for name, parameter in self._parameters.items()
        )

    def step_by(self, gradients: Iterable[tuple[str, slice, Array]]) -> None:
        """Move every parameter once, by gradients that come in parts.

        Each is a parameter's name, a part of its flat values, and that part's gradient, flat; it
        has been used when the next one is asked for.
        """
        self.steps += 1
        for name, part, gradient in gradients:
            parameter = self._parameters[name]
            if parameter.frozen:
                continue
            decay = self.weight_decay if parameter.decay else 0.0
            beside = [parameter.value, *(arrays[name] for arrays in self._slots.values())]
            moved = [array.reshape(-1, copy=False)[part] for array in beside]
            for value, towards, *slots in _tiles(moved[0], gradient, *moved[1:]):
                self.move(value, towards, decay, *slots)

    def counts_steps(self) -> bool:
        """Whether the number of steps is part of the state."""
        return False

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of what a bit-exact resume needs: `<slot>.<parameter>` for each one."""
        state: dict[str, npt.NDArray[np.generic]] = {
            name: array.copy() for name, array in self._named().items()
        }
        if self.counts_steps():
            state[_STEPS] = np.array([self.steps], np.int64)
        return state

    def load_state(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over what `state` returned; all of it, or nothing.

        Raises StateError with the names that are missing, unexpected, or of another shape or
        dtype, or that hold NaN or infinity.
        """
        wanted: dict[str, npt.NDArray[np.generic]] = {**self._named()}
        if self.counts_steps():
            wanted[_STEPS] = np.zeros(1, np.int64)
        mismatching = [
            f"{name} ({problem})"
            for name, array in wanted.items()
            if name in arrays and (problem := _mismatch(arrays[name], array))
        ]
        missing = [name for name in wanted if name not in arrays]
        unexpected = [name for name in arrays if name not in wanted]
        if missing or unexpected or mismatching:
            raise StateError(
                "the stored state is not this optimizer's",
                missing=missing,
                unexpected=unexpected,
                mismatching=mismatching,
            )
        for name, array in self._named().items():
            array[...] = arrays[name]
        if self.counts_steps():
            self.steps = int(arrays[_STEPS].item())

    def _named(self) -> dict[str, Array]:
        return {
            f"{slot}.{name}": array
            for slot, arrays in self._slots.items()
            for name, array in arrays.items()
        }


def _tiles(*flat: Array) -> Iterator[Sequence[Array]]:
    """The same part of each array, some values at a time; so no step needs much memory."""
    if flat[0].size <= _TILE:
        yield flat
        return
    for first in range(0, flat[0].size, _TILE):
        yield [array[first : first + _TILE] for array in flat]


def _mismatch(given: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> str:
    if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
        return f"{given.dtype} {shown(given.shape)}, not {wanted.dtype} {shown(wanted.shape)}"
    if given.dtype == np.int64:
        return "" if given.item() >= 0 else "is below zero"
    finite: npt.NDArray[np.bool] = np.isfinite(given)
    return "" if finite.all() else "holds NaN or infinity"
