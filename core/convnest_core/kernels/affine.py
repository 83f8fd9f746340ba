"""A factor and a term for each channel."""

from __future__ import annotations

from typing import NamedTuple

from convnest_core.arrays import Array


class Affine(NamedTuple):
    """x ↦ x · scale + shift, both [C]."""

    scale: Array
    shift: Array
