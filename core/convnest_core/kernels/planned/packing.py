"""Weights in the forms that kernels read, made once for all who use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from convnest_core.arrays import Array, DType, Shape

# Calls what it is given, or returns what that gave to another process of a team. Kernels are made
# in the same order in all of them, so packed arrays are told apart by their order.
Packing: TypeAlias = Callable[[Callable[[], Array]], Array]


def alone(make: Callable[[], Array]) -> Array:
    """The packing of a process by itself."""
    return make()


@dataclass(frozen=True, eq=False)
class Weights:
    """w [..., C, O] · scale [O], ready to be packed.

    The product is made within `pack`, so that those who find it packed do not make it again.
    """

    w: Array
    scale: Array | None = None
    pack: Packing = alone

    @property
    def shape(self) -> Shape:
        return self.w.shape

    @property
    def dtype(self) -> DType:
        return self.w.dtype

    def packed(self, form: Callable[[Array], Array]) -> Array:
        """form(w · scale), to be read alone."""
        return self.pack(lambda: form(self.w if self.scale is None else self.w * self.scale))

    def matrix(self) -> Array:
        """One column a filter, to be read alone: w itself where it is one already."""
        if self.scale is None and self.w.flags.c_contiguous:
            return _matrix(self.w)
        return self.packed(_matrix)

    def groups(self, count: int) -> list[Weights]:
        """The filters, parted."""
        scales = [None] * count if self.scale is None else np.split(self.scale, count)
        parts = zip(np.split(self.w, count, axis=-1), scales, strict=True)
        return [replace(self, w=w, scale=scale) for w, scale in parts]


def _matrix(w: Array) -> Array:
    return np.ascontiguousarray(w).reshape(-1, w.shape[-1])
