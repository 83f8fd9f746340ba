"""Planned operations that treat every value, or every pixel, alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnest_core import kernels
from convnest_core.arrays import Array

from .finishing import Activation, zeros
from .sharing import WHOLE, Share
from .tiles import matrix

_ROWS = 512


@dataclass(frozen=True)
class ResponseNorm:
    """out = x · (k + α/size · Σ x²)⁻ᵝ, the sum over `size` neighbouring channels."""

    size: int
    alpha: float
    beta: float
    k: float
    algorithm = "product with a band"

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """x [N, ..., C] to out of the same shape."""
        source, results = matrix(x), matrix(out)
        own = share.of(len(source))
        results[own] = kernels.response_norm(
            source[own], size=self.size, alpha=self.alpha, beta=self.beta, k=self.k
        )


@dataclass(frozen=True, eq=False)
class Pixels:
    """out = activation(x · scale + shift + residual), each part of it where it is given."""

    scale: Array | None = None  # [C]
    shift: Array | None = None  # [C]
    activation: Activation | None = None
    algorithm = "value by value"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x and residual [N, ..., C] to out of the same shape, which may be x itself."""
        source, results = matrix(x), matrix(out)
        added = None if residual is None else matrix(residual)
        own = share.of(len(source))
        for first in range(own.start, own.stop, _ROWS):
            part = slice(first, min(first + _ROWS, own.stop))
            y, out_part = source[part], results[part]
            if self.scale is not None:
                y = np.multiply(y, self.scale, out=out_part)
            if self.shift is not None:
                y = np.add(y, self.shift, out=out_part)
            if added is not None:
                y = np.add(y, added[part], out=out_part)
            if self.activation == "relu":
                y = np.maximum(y, zeros(y.shape, y.dtype), out=out_part)
            if y is not out_part:
                np.copyto(out_part, y)
