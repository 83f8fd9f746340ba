"""How wide a layer's random weights start, from the number of values each output sums over."""

from __future__ import annotations

from math import sqrt
from typing import Literal, TypeAlias

Start: TypeAlias = Literal["he", "xavier"]
STARTS: tuple[Start, ...] = ("he", "xavier")


def deviation(start: Start, *, fan_in: int, fan_out: int) -> float:
    """The standard deviation of normal weights.

    `he`: √(2 / fan_in), keeps the variance through ReLU (He, Zhang, Ren, Sun 2015).
    `xavier`: √(2 / (fan_in + fan_out)), for sigmoid and tanh (Glorot, Bengio 2010).
    """
    return sqrt(2.0 / fan_in) if start == "he" else sqrt(2.0 / (fan_in + fan_out))
