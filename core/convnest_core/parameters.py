"""`Parameter`: a trained array, its gradient, and how it is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array, Shape


@dataclass(eq=False)
class Parameter:
    """A trained array in the layout its kernel likes.

    `stored_axes` maps it to the layout it is stored in (torchvision's): `value.transpose(axes)`.
    `decay` says whether weight decay applies: to weights, not to biases and BatchNorm's scale.
    `frozen` ones are left alone by optimizers, and their gradients need not be computed.
    """

    value: Array
    grad: Array
    decay: bool
    stored_axes: tuple[int, ...]
    frozen: bool = False

    @property
    def stored_shape(self) -> Shape:
        return tuple(self.value.shape[axis] for axis in self.stored_axes)

    def stored(self) -> Array:
        """A copy in the stored layout."""
        return np.array(self.value.transpose(self.stored_axes), order="C")

    def load(self, array: Array) -> None:
        """Take over an array in the stored layout, whose shape has been checked."""
        self.value.transpose(self.stored_axes)[...] = array
