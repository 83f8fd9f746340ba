"""`Parameter`: a trained array, its gradient, and how it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .arrays import Array, Shape
from .kernels import add_product

_TILE = 1 << 17  # values: a tile of a gradient stays in the cache until it has been used


class Products(Protocol):
    """What may form a matrix' gradient later, from what it is the product of."""

    def take(self, x: Array, dy: Array) -> bool:
        """Keep copies of x and dy to form xᵀ · dy of; or return False, and the caller does."""


@dataclass(eq=False)
class Parameter:
    """A trained array in the layout its kernel likes.

    `stored_axes` maps it to the layout it is stored in (torchvision's): `value.transpose(axes)`.
    `decay` says whether weight decay applies: to weights, not to biases and BatchNorm's scale.
    `frozen` ones are left alone by optimizers, and their gradients need not be computed.
    The gradient of a `factored` one, a matrix, comes through `add_product` alone.
    """

    value: Array
    grad: Array
    decay: bool
    stored_axes: tuple[int, ...]
    frozen: bool = False
    factored: bool = False
    products: Products | None = None  # of a factored one; set by who reads gradients from there

    @property
    def stored_shape(self) -> Shape:
        return tuple(self.value.shape[axis] for axis in self.stored_axes)

    def stored(self) -> Array:
        """A copy in the stored layout."""
        return np.array(self.value.transpose(self.stored_axes), order="C")

    def load(self, array: Array) -> None:
        """Take over an array in the stored layout, whose shape has been checked."""
        self.value.transpose(self.stored_axes)[...] = array

    def add_product(self, x: Array, dy: Array) -> None:
        """Add xᵀ · dy to the gradient of a matrix [in, out], for x [N, in] and dy [N, out]."""
        if self.products is None or not self.products.take(x, dy):
            add_product(self.grad, x.T, dy)


def row_tiles(rows: slice, columns: int) -> Iterator[slice]:
    """The rows of a matrix some at a time: it may have half a gigabyte, and needs no second."""
    step = max(1, _TILE // columns)
    for first in range(rows.start, rows.stop, step):
        yield slice(first, min(first + step, rows.stop))
