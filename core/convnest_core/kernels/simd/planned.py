"""The kernels of a compiled plan: makers that `kernels.planned` asks first.

`routing` decides, as it does for layers; where it names NumPy, the answer is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, Pair, Shape
from convnest_core.kernels.planned import WHOLE, Activation, Algorithm, Geometry, Kernel, Share
from convnest_core.kernels.planned.packing import Weights
from convnest_core.kernels.planned.tiles import matrix
from convnest_core.kernels.scratch import scratch

from . import direct, routing, winograd
from .normalising import Pixels
from .packing import BLOCK, PIXELS, VECTORS, packed, padded
from .pooling import planned as pooling
from .products import product
from .response_norm import planned as response_norm

__all__ = ["algorithm", "convolution", "linear", "pixels", "pooling", "response_norm"]

pixels = Pixels


def algorithm(weights: Shape, geometry: Geometry, size: Pair) -> Algorithm | None:
    """What computes outputs of `size` with `weights` (kh, kw, C, O); None: NumPy's best."""
    kh, kw, channels, filters = weights
    chosen = routing.algorithm(
        routing.FORWARD,
        routing.Convolution(
            (kh, kw),
            channels,
            filters,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            size=size,
        ),
    )
    return None if chosen == "numpy" else chosen


def convolution(
    w: Weights,
    b: Array | None,
    geometry: Geometry,
    *,
    activation: Activation | None,
    size: Pair,
) -> Kernel | None:
    """The kernel for w [kh, kw, C, O], which it packs."""
    match algorithm(w.shape, geometry, size):
        case "winograd":
            return winograd.planned(w, b, padding=geometry.padding, activation=activation)
        case "product":
            return Pointwise.of(w, b, activation=activation, stride=geometry.stride)
        case "direct":
            return direct.planned(w, b, geometry, activation=activation)
        case _:
            return None


def linear(w: Weights, b: Array | None, *, activation: Activation | None) -> Kernel:
    """The kernel for y = x · w + b, w [in, out]."""
    return Pointwise.of(w, b, activation=activation)


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A fully connected layer, or a 1×1 convolution: every pixel is a row of a product."""

    weights: Array  # [blocks, channels, BLOCK]
    bias: Array | None  # [blocks · BLOCK]
    activation: Activation | None
    stride: Pair
    algorithm = f"product {PIXELS}×{VECTORS}"

    @staticmethod
    def of(
        w: Weights, b: Array | None, *, activation: Activation | None, stride: Pair = (1, 1)
    ) -> Pointwise:
        weights = w.packed(lambda w: packed(w.reshape(-1, w.shape[-1])))
        return Pointwise(weights, None if b is None else padded(b), activation, stride)

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', O]; or [N, C] to [N, O]."""
        rows, results = self._rows(x), matrix(out)
        added = None if residual is None else matrix(residual)
        weights, bias = self.weights, self.bias
        # What is less, X or W, is read by all.
        if len(weights) >= share.size > 1 and weights.size > rows.size:
            blocks = share.of(len(weights))
            filters = slice(blocks.start * BLOCK, blocks.stop * BLOCK)
            weights, bias = weights[blocks], None if bias is None else bias[filters]
            results = results[:, filters]
            added = None if added is None else added[:, filters]
        else:
            own = share.of(len(rows), together=_together(len(rows), share.size))
            rows, results = rows[own], results[own]
            added = None if added is None else added[own]
        if results.size:
            rectified = self.activation == "relu"
            product(rows, weights, results, bias=bias, residual=added, rectified=rectified)

    def _rows(self, x: Array) -> Array:
        if self.stride == (1, 1):
            return matrix(x)
        windows = x[:, :: self.stride[0], :: self.stride[1]]
        pixels = scratch("pointwise.pixels", windows.shape, x.dtype)
        np.copyto(pixels, windows)
        return matrix(pixels)


def _together(rows: int, members: int) -> int:
    """Whole register tiles for each member, where one more for some of them is little."""
    return PIXELS if rows >= 8 * PIXELS * members else 1
