"""Which kernel computes which convolution: the one place where that is decided.

The first rule that holds decides. What no rule takes is NumPy's. Rules speak of shapes alone, never
of values, so a network runs the same kernels every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from convnest_core.arrays import Pair

Algorithm = Literal["product", "winograd", "direct", "numpy"]


@dataclass(frozen=True)
class Convolution:
    """A convolution's shapes: `channels` and `filters` are those of one group."""

    kernel: Pair
    channels: int
    filters: int
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def is_pointwise(self) -> bool:
        """1×1 at every pixel: a plain matrix product."""
        return self.kernel == self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def is_dense(self) -> bool:
        """Stride 1, no dilation, a square kernel."""
        return self.stride == self.dilation == (1, 1) and self.kernel[0] == self.kernel[1]


Rule = tuple[str, Callable[[Convolution], bool], Algorithm]

_ALWAYS: tuple[Rule, ...] = (
    ("groups, side by side in NumPy", lambda c: c.groups > 1, "numpy"),
    ("dilation", lambda c: c.dilation != (1, 1), "numpy"),
)

#: y from x and w.
FORWARD: tuple[Rule, ...] = (*_ALWAYS,)
#: dx from dy and w.
INPUT_GRADIENT: tuple[Rule, ...] = (*_ALWAYS,)
#: dw from x and dy.
WEIGHT_GRADIENT: tuple[Rule, ...] = (*_ALWAYS,)


def algorithm(rules: tuple[Rule, ...], convolution: Convolution) -> Algorithm:
    """What the first rule that holds says."""
    return next((given for _, holds, given in rules if holds(convolution)), "numpy")
