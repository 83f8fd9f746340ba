"""How a layer's random weights start, from the number of values each output sums over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from typing import TypeAlias

from .checks import choice, number

# The deviation of a standard normal distribution that is cut off at two deviations.
_CUT_AT_TWO = 0.8796256610342398


@dataclass(frozen=True)
class Normal:
    """Normal numbers around zero; those beyond `cut` deviations are drawn again."""

    deviation: float
    cut: float = inf


# What a layer's `start` may be: a word of STARTS, the standard deviation itself, or all of it.
Start: TypeAlias = str | float | Normal

STARTS: dict[str, Callable[[int, int], Normal]] = {
    # √(2 / fan_in) keeps the variance through ReLU (He, Zhang, Ren, Sun 2015) …
    "he": lambda fan_in, _: Normal(sqrt(2.0 / fan_in)),
    # … and √(2 / fan_out) that of the gradients on their way back.
    "he_out": lambda _, fan_out: Normal(sqrt(2.0 / fan_out)),
    # √(2 / (fan_in + fan_out)) for sigmoid and tanh (Glorot, Bengio 2010).
    "xavier": lambda fan_in, fan_out: Normal(sqrt(2.0 / (fan_in + fan_out))),
    # As wide as `he`, without the tails.
    "truncated": lambda fan_in, _: Normal(sqrt(2.0 / fan_in) / _CUT_AT_TWO, cut=2.0),
}


def start_of(field: str, value: object) -> Start:
    """`value` as a `Start`; raises SpecError for what is none."""
    if isinstance(value, Normal):
        return value
    if isinstance(value, int | float):
        return number(field, value, least=0, below=100)
    return choice(field, value, among=tuple(STARTS))


def drawn_as(start: Start, *, fan_in: int, fan_out: int) -> Normal:
    """What a layer draws its weights from."""
    if isinstance(start, Normal):
        return start
    return STARTS[start](fan_in, fan_out) if isinstance(start, str) else Normal(float(start))
