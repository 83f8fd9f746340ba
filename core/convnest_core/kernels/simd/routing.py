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


_WINOGRAD_FEWEST = 16  # channels and filters


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
    size: Pair | None = None  # of the input's images; None where it is not known

    @property
    def is_pointwise(self) -> bool:
        """1×1: a plain matrix product of all pixels, or of those that the stride leaves."""
        return self.kernel == (1, 1) and self.padding == (0, 0)

    @property
    def is_dense(self) -> bool:
        """Stride 1, no dilation, a square kernel."""
        return self.stride == self.dilation == (1, 1) and self.kernel[0] == self.kernel[1]

    @property
    def suits_winograd(self) -> bool:
        """Whether saved multiplications outweigh the transforms, which few channels cannot pay.

        Of a 2×2 image most of a tile is waste.
        """
        known = self.is_dense and self.kernel[0] in (3, 5)
        enough = min(self.channels, self.filters) >= _WINOGRAD_FEWEST
        return known and enough and (self.size is None or min(self.size) > 2)


Rule = tuple[str, Callable[[Convolution], bool], Algorithm]

_WINOGRAD: Rule = ("3×3 and 5×5 at stride 1", lambda c: c.suits_winograd, "winograd")
_GROUPS: Rule = ("groups, one after the other", lambda c: c.groups > 1, "direct")
_POINTWISE: Rule = ("1×1", lambda c: c.is_pointwise, "product")
_WINDOWS: Rule = ("any other window", lambda _: True, "direct")


def _dilated(given: Algorithm) -> Rule:
    return "dilation", lambda c: c.dilation != (1, 1), given


#: y from x and w.
FORWARD: tuple[Rule, ...] = (_GROUPS, _POINTWISE, _dilated("direct"), _WINOGRAD, _WINDOWS)
#: dx from dy and w.
INPUT_GRADIENT: tuple[Rule, ...] = (_dilated("numpy"), _GROUPS, _POINTWISE, _WINOGRAD, _WINDOWS)
#: dw from x and dy.
WEIGHT_GRADIENT: tuple[Rule, ...] = (_dilated("numpy"), _GROUPS, _POINTWISE, _WINOGRAD, _WINDOWS)


def algorithm(rules: tuple[Rule, ...], convolution: Convolution) -> Algorithm:
    """What the first rule that holds says."""
    return next((given for _, holds, given in rules if holds(convolution)), "numpy")
