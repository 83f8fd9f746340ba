"""Learning rates over time: pure functions of the step (or the epoch) that the caller counts.

    schedule = Warmup(Cosine(0.1, steps=9000), steps=1000)
    optimizer.learning_rate = schedule(step)

Steps count from 0. Formulas are PyTorch's closed forms. Only `ReduceOnPlateau` has a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, inf, isfinite, pi
from typing import TypeAlias

from .checks import integer, number, positive
from .errors import StateError

Schedule: TypeAlias = Callable[[int], float]

_LARGEST_RATE = 1e6
_LONGEST = 1 << 40


def _rate(field: str, value: float) -> None:
    number(field, value, least=0, below=_LARGEST_RATE)


@dataclass(frozen=True)
class Constant:
    """One rate for ever."""

    rate: float

    def __post_init__(self) -> None:
        _rate("rate", self.rate)

    def __call__(self, step: int) -> float:  # noqa: ARG002
        return self.rate


@dataclass(frozen=True)
class Step:
    """`rate`, multiplied by `factor` every `every` steps."""

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _rate("rate", self.rate)
        integer("every", self.every, least=1, most=_LONGEST)
        positive("factor", self.factor, below=1e6)

    def __call__(self, step: int) -> float:
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Cosine:
    """From `rate` down to `final` along half a cosine of `steps` steps (Loshchilov, Hutter 2016).

    Afterwards it stays there.
    """

    rate: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _rate("rate", self.rate)
        integer("steps", self.steps, least=1, most=_LONGEST)
        _rate("final", self.final)

    def __call__(self, step: int) -> float:
        return _between(self.rate, self.final, min(step / self.steps, 1.0))


@dataclass(frozen=True)
class OneCycle:
    """Up to `peak` and down again along two half cosines within `steps` steps (Smith 2018).

    The way up takes the share `rising` of the steps and starts from peak / `start_divisor`; the end
    is the start divided by `final_divisor`.
    """

    peak: float
    steps: int
    rising: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        _rate("peak", self.peak)
        integer("steps", self.steps, least=2, most=_LONGEST)
        positive("rising", self.rising, below=1)
        number("start_divisor", self.start_divisor, least=1, below=1e12)
        number("final_divisor", self.final_divisor, least=1, below=1e12)

    def __call__(self, step: int) -> float:
        start = self.peak / self.start_divisor
        turn, last = self.rising * self.steps - 1, self.steps - 1
        if step <= turn:
            return _between(start, self.peak, step / turn if turn else 1.0)
        return _between(
            self.peak, start / self.final_divisor, min((step - turn) / (last - turn), 1.0)
        )


@dataclass(frozen=True)
class Warmup:
    """In a line from `rate(0) / steps` up within `steps` steps (Goyal et al. 2017), then `after`.

    `after` counts its own steps from 0.
    """

    after: Schedule
    steps: int

    def __post_init__(self) -> None:
        integer("steps", self.steps, least=1, most=_LONGEST)

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.after(0) * (step + 1) / self.steps
        return self.after(step - self.steps)


class ReduceOnPlateau:
    """`rate`, multiplied by `factor` when a loss has not fallen for more than `patience` looks.

    A loss has fallen where it is below (1 - `threshold`) times the best one so far. The rate never
    falls below `least`.
    """

    def __init__(
        self,
        rate: float,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        least: float = 0.0,
    ) -> None:
        self.rate = number("rate", rate, least=0, below=_LARGEST_RATE)
        self.factor = positive("factor", factor, below=1)
        self.patience = integer("patience", patience, least=0, most=_LONGEST)
        self.threshold = number("threshold", threshold, least=0, below=1)
        self.least = number("least", least, least=0, below=_LARGEST_RATE)
        self._best, self._waited = inf, 0

    def observe(self, loss: float) -> float:
        """Take in one loss, of an epoch say, and return the rate from now on."""
        if loss < self._best * (1.0 - self.threshold):
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        if self._waited > self.patience:
            self.rate, self._waited = max(self.rate * self.factor, self.least), 0
        return self.rate

    def state(self) -> dict[str, float]:
        """What a resume needs, as JSON has it; `best` is absent before the first loss."""
        best = {"best": self._best} if isfinite(self._best) else {}
        return {"rate": self.rate, "waited": self._waited, **best}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Take over what `state` returned. Raises StateError, or SpecError for a value."""
        missing = [name for name in ("rate", "waited") if name not in state]
        unexpected = [name for name in state if name not in ("rate", "waited", "best")]
        if missing or unexpected:
            message = "the stored state is not this schedule's"
            raise StateError(message, missing=missing, unexpected=unexpected)
        rate = number("rate", state["rate"], least=0, below=_LARGEST_RATE)
        waited = integer("waited", state["waited"], least=0, most=_LONGEST)
        best = number("best", state["best"], least=-inf, below=inf) if "best" in state else inf
        self.rate, self._waited, self._best = rate, waited, best


def _between(first: float, last: float, share: float) -> float:
    """Half a cosine from `first` (share 0) to `last` (share 1)."""
    return last + (first - last) * (1.0 + cos(pi * share)) / 2.0
