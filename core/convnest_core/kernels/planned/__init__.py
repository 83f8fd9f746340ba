"""The kernels that a compiled plan calls: weights packed beforehand, results written where told.

Each maker takes `Weights` and returns a kernel: an immutable object, shared freely between plans
and threads, that maps x to `out`, adds `residual` where one is given, and applies bias and
activation before a tile leaves the cache. Values are [N, ..., C]; `x`, `out` and `residual` may be
slices of wider pixels. Members of a team call it with a `share` each, and together they write all
of `out`. Makers ask the generated set first, if that is the one that computes.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, Protocol

import numpy as np

from convnest_core.arrays import Array, DType, Pair, Shape
from convnest_core.kernels.choice import kernel_set

from .convolution import Geometry, Im2col, Pointwise
from .finishing import Activation, Finish
from .packing import Packing, Weights, alone
from .pixels import Pixels, ResponseNorm
from .pooling import Pooling
from .sharing import WHOLE, Share
from .winograd import Winograd, outputs

__all__ = [
    "WHOLE",
    "Activation",
    "Algorithm",
    "Geometry",
    "Grouped",
    "Im2col",
    "Kernel",
    "Packing",
    "Pixels",
    "Pointwise",
    "Pooling",
    "Reduction",
    "ResponseNorm",
    "Share",
    "Weights",
    "Winograd",
    "algorithm",
    "alone",
    "convolution",
    "linear",
    "pixels",
    "pooling",
    "response_norm",
]

Algorithm = Literal["winograd", "product", "im2col", "direct"]

Reduction = Literal["largest", "mean"]

_WINOGRAD_FEWEST = {3: (32, 32), 5: (16, 32)}  # channels in and out, by kernel
_FEWEST_PATCHES = 12  # below it, reading four times the weights costs more than multiplying


class Kernel(Protocol):
    """Maps x to out. `algorithm` says how, for people."""

    @property
    def algorithm(self) -> str: ...

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """Write this share of `out`: of shares of `size`, each place is in exactly one."""


class Grouped:
    """A convolution whose filters see a share of the channels each (AlexNet's two halves)."""

    def __init__(self, kernels: tuple[Kernel, ...]) -> None:
        self._kernels = kernels

    @property
    def algorithm(self) -> str:
        return f"{len(self._kernels)} groups of {self._kernels[0].algorithm}"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', O]; group g is the g-th slice of C and of O."""
        many = len(self._kernels)
        own = range(many)
        if many % share.size == 0:  # whole groups for each member
            own, share = range(many)[share.of(many)], WHOLE
        widths = [array.shape[-1] // many for array in (x, out)]
        for g in own:
            taken, given = (slice(g * width, (g + 1) * width) for width in widths)
            added = None if residual is None else residual[..., given]
            self._kernels[g](x[..., taken], out[..., given], added, share)


def convolution(
    w: Weights,
    b: Array | None,
    geometry: Geometry,
    *,
    activation: Activation | None,
    groups: int = 1,
    size: Pair,
    images: int,
) -> Kernel:
    """The best kernel for w [kh, kw, C, O] and up to `images` outputs of `size` at a time."""
    if groups > 1:
        biases = [None] * groups if b is None else np.split(b, groups)
        return Grouped(
            tuple(
                convolution(
                    part,
                    bias,
                    geometry,
                    activation=activation,
                    size=size,
                    images=images,
                )
                for part, bias in zip(w.groups(groups), biases, strict=True)
            )
        )
    if generated := _generated(w.dtype):
        kernel: Kernel | None = generated.convolution(
            w, b, geometry, activation=activation, size=size
        )
        if kernel is not None:
            return kernel
    match _numpys(w.shape, geometry, size, images):
        case "winograd":
            finish = Finish.of(None, activation)
            return Winograd.of(w, b, padding=geometry.padding, finish=finish)
        case "product":
            return Pointwise(w.matrix(), Finish.of(b, activation))
        case _:
            return Im2col(w.matrix(), geometry, Finish.of(b, activation))


def linear(w: Weights, b: Array | None, *, activation: Activation | None) -> Kernel:
    """The kernel for y = x · w + b, w [in, out]."""
    if generated := _generated(w.dtype):
        kernel: Kernel = generated.linear(w, b, activation=activation)
        return kernel
    return Pointwise(w.matrix(), Finish.of(b, activation))


def pixels(
    scale: Array | None, shift: Array | None, activation: Activation | None, *, dtype: DType
) -> Kernel:
    """The kernel for y = activation(x · scale + shift + residual)."""
    generated = _generated(dtype)
    kernel: Kernel = (generated.pixels if generated else Pixels)(scale, shift, activation)
    return kernel


def pooling(geometry: Geometry, of: Reduction, *, dtype: DType) -> Kernel:
    """The kernel for the largest or the mean value of each window."""
    generated = _generated(dtype)
    kernel: Kernel = (generated.pooling if generated else Pooling)(geometry, of)
    return kernel


def response_norm(size: int, alpha: float, beta: float, k: float, *, dtype: DType) -> Kernel:
    """The kernel for y = x · (k + α/size · Σ x²)⁻ᵝ, the sum over neighbouring channels."""
    generated = _generated(dtype)
    kernel: Kernel = (generated.response_norm if generated else ResponseNorm)(size, alpha, beta, k)
    return kernel


def algorithm(
    weights: Shape, geometry: Geometry, *, size: Pair, images: int, dtype: DType
) -> Algorithm:
    """The best for `weights` (kh, kw, C, O) and up to `images` outputs of `size` at a time."""
    if generated := _generated(dtype):
        chosen: Algorithm | None = generated.algorithm(weights, geometry, size)
        if chosen is not None:
            return chosen
    return _numpys(weights, geometry, size, images)


def _generated(dtype: DType) -> Any:  # the other set's makers, or None
    if dtype == np.float32 and kernel_set() == "simd":
        return importlib.import_module("convnest_core.kernels.simd.planned")
    return None


def _numpys(weights: Shape, geometry: Geometry, size: Pair, images: int) -> Algorithm:
    if geometry == Geometry((1, 1)):
        return "product"
    return "winograd" if _suits_winograd(weights, geometry, size, images) else "im2col"


def _suits_winograd(weights: Shape, geometry: Geometry, size: Pair, images: int) -> bool:
    kh, kw, channels, filters = weights
    fewest = _WINOGRAD_FEWEST.get(kh)
    plain = geometry == Geometry((kh, kh), padding=geometry.padding)
    if kh != kw or not plain or fewest is None:
        return False
    if channels < fewest[0] or filters < fewest[1]:
        return False
    m = outputs(kh)
    return images * -(-size[0] // m) * -(-size[1] // m) >= _FEWEST_PATCHES
