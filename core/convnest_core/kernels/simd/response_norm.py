"""Response normalisation by the generated kernels, where they have its power."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels import plain
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.planned.pixels import ResponseNorm as ByProduct
from convnest_core.kernels.planned.sharing import WHOLE, Share
from convnest_core.kernels.planned.tiles import matrix

from .machine import machine
from .native import Native

_forward = Native("response_norm", "response_norm")
_backward = Native("response_norm", "response_norm_backward")

_BETA = 0.75  # the only power that they have
_LARGEST = 32  # neighbours above which adding them one by one loses to a matrix product
_TOGETHER = 8  # pixels in scratch memory at a time


def suits(*, size: int, beta: float) -> bool:
    """Whether the kernels have it; NumPy's have the rest."""
    return beta == _BETA and size <= _LARGEST


def response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    """As `kernels.response_norm`."""
    if not suits(size=size, beta=beta):
        return plain.response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
    y = empty_aligned(x.shape, x.dtype)
    channels = x.shape[-1]
    pixels = np.ascontiguousarray(x).reshape(-1, channels)
    _run(pixels, y.reshape(-1, channels), size=size, alpha=alpha, k=k)
    return y


def response_norm_backward(
    x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float
) -> Array:
    """As `kernels.response_norm_backward`."""
    if not suits(size=size, beta=beta):
        return plain.response_norm_backward(x, dy, size=size, alpha=alpha, beta=beta, k=k)
    dx = empty_aligned(x.shape, x.dtype)
    channels = x.shape[-1]
    work, shared = _work(channels, size), _work(channels, size)
    _backward(
        np.ascontiguousarray(x),
        np.ascontiguousarray(dy),
        work,
        shared,
        dx,
        x.size // channels,
        channels,
        size,
        work.shape[1],
        alpha / size,
        k,
    )
    return dx


def planned(size: int, alpha: float, beta: float, k: float) -> ResponseNorm | ByProduct:
    """The kernel of a plan: this set's, or NumPy's where it has none."""
    kind = ResponseNorm if suits(size=size, beta=beta) else ByProduct
    return kind(size, alpha, beta, k)


class ResponseNorm(ByProduct):
    """As NumPy's, for a β and a size that `suits`."""

    algorithm = "square roots"

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """x [N, ..., C] to out of the same shape."""
        pixels, results = matrix(x), matrix(out)
        own = share.of(len(pixels))
        _run(pixels[own], results[own], size=self.size, alpha=self.alpha, k=self.k)


def _run(x: Array, y: Array, *, size: int, alpha: float, k: float) -> None:
    """x [pixels, C] to y, either of which may be a slice of wider pixels."""
    count, channels = x.shape
    work = _work(channels, size)
    strides = (x.strides[0] // x.itemsize, y.strides[0] // y.itemsize)
    _forward(x, work, y, count, channels, size, *strides, work.shape[1], alpha / size, k)


def _work(channels: int, size: int) -> Array:
    """Zeros for the kernels: whole strips of vectors a pixel, and neighbours on either side."""
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    strip = 2 * found.width
    return np.zeros((_TOGETHER, -(-channels // strip) * strip + size), np.float32)
