"""`Run`: what a forward pass knows besides its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .arrays import Array, Integers
from .errors import CoreError
from .random import words

# The loss of a batch's logits, and its gradient: dL/dlogits.
Criterion: TypeAlias = Callable[[Array], tuple[float, Array]]


class Team(Protocol):
    """What a layer sees of the processes that split a batch; see the package `team`."""

    @property
    def images(self) -> int:
        """The images of the whole batch."""

    def all_sum(self, array: Array) -> Array:
        """The sum of every process's `array`; all call this in the same order."""


@dataclass(frozen=True, eq=False)
class Run:
    """Training or evaluation, and the keys of this batch's randomness.

    `samples` are the indices of the batch's samples in their dataset (int64): with `seed`, `epoch`
    and a layer's path they name every random number, however a batch is split. Where
    `input_gradient` is False nobody reads what the outermost backward returns, and the first
    layer with parameters may return anything of the right shape. `criterion` is this batch's loss,
    for networks with auxiliary heads, which have logits of their own in training. With a `team`
    this process has a part of the batch; statistics are to be those of all of it.
    """

    training: bool
    seed: int = 0
    epoch: int = 0
    samples: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    input_gradient: bool = True
    criterion: Criterion | None = None
    team: Team | None = None

    def words(self, name: str, *, batch: int, count: int) -> npt.NDArray[np.uint32]:
        """`count` random 32-bit words for each sample of the batch, for the layer `name`."""
        if batch != len(self.samples):
            raise CoreError(
                f"{name}: a run needs one sample index for each image, "
                f"got {len(self.samples)} for a batch of {batch}"
            )
        return words(name, seed=self.seed, epoch=self.epoch, samples=self.samples, count=count)

    def all_sum(self, array: Array) -> Array:
        """A sum over this process's images as the sum over the whole batch."""
        return array if self.team is None else self.team.all_sum(array)

    def batch_of(self, x: Array) -> int:
        """How many images the whole batch has that x is this process's part of."""
        return len(x) if self.team is None else self.team.images

    def with_input_gradient(self) -> Run:
        """This run for a layer whose input gradient is needed."""
        return self if self.input_gradient else replace(self, input_gradient=True)


EVALUATION = Run(training=False)
