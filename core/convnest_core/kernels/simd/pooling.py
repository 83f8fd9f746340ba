"""Pooling by the generated kernels, for layers and for plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Pair
from convnest_core.kernels import plain
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.plain.pooling import Places
from convnest_core.kernels.planned.convolution import Geometry
from convnest_core.kernels.planned.sharing import WHOLE, Share
from convnest_core.kernels.windows import slid

from .machine import machine
from .native import Native

_pool = Native("pooling", "pool")
_pool_backward = Native("pooling", "pool_backward")

_MOST_TAPS = 256  # as many as a byte can name

Bytes = npt.NDArray[np.uint8]


def max_pool(x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
    """As `kernels.max_pool`."""
    size = x.shape[1], x.shape[2]
    y = _fresh(x, slid(size, kernel=kernel, stride=stride, padding=padding, ceil=ceil))
    _run(np.ascontiguousarray(x), y, None, Geometry(kernel, stride, padding))
    return y


def max_pool_places(
    x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False
) -> tuple[Array, Bytes | Places]:
    """As `kernels.max_pool_places`: a byte says which tap of its window each value was."""
    if kernel[0] * kernel[1] > _MOST_TAPS:
        return plain.max_pool_places(x, kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    size = x.shape[1], x.shape[2]
    y = _fresh(x, slid(size, kernel=kernel, stride=stride, padding=padding, ceil=ceil))
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    whole_vectors = -(-x.shape[3] // found.width) * found.width
    places = np.empty((*y.shape[:3], whole_vectors), np.uint8)
    _run(np.ascontiguousarray(x), y, places, Geometry(kernel, stride, padding))
    return y, places


def max_pool_backward(
    dy: Array,
    places: Bytes | Places,
    size: Pair,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
) -> Array:
    """As `kernels.max_pool_backward`."""
    if isinstance(places, Places):
        return plain.max_pool_backward(
            dy, places, size, kernel=kernel, stride=stride, padding=padding
        )
    return _run_backward(dy, places, size, Geometry(kernel, stride, padding), (0, 0))


def average_pool(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """As `kernels.average_pool`."""
    size = x.shape[1], x.shape[2]
    y = _fresh(x, slid(size, kernel=kernel, stride=stride, padding=padding, ceil=ceil))
    counted = padding if count_padding else (0, 0)
    geometry = Geometry(kernel, stride, padding)
    _run(np.ascontiguousarray(x), y, None, geometry, of="mean", counted=counted)
    return y


def average_pool_backward(
    dy: Array,
    size: Pair,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_padding: bool = True,
) -> Array:
    """As `kernels.average_pool_backward`."""
    counted = padding if count_padding else (0, 0)
    return _run_backward(dy, None, size, Geometry(kernel, stride, padding), counted)


@dataclass(frozen=True)
class Pooling:
    """As `planned.Pooling`: no window of a mean leaves the image."""

    geometry: Geometry
    of: Literal["largest", "mean"]

    @property
    def algorithm(self) -> str:
        return f"{self.of}, window by window"

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', C], whose size says how many windows there are."""
        _run(x, out, None, self.geometry, of=self.of, share=share)


planned = Pooling


def _fresh(x: Array, count: Pair) -> Array:
    return empty_aligned((len(x), *count, x.shape[3]), x.dtype)


def _run(
    x: Array,
    y: Array,
    places: Bytes | None,
    geometry: Geometry,
    *,
    of: Literal["largest", "mean"] = "largest",
    counted: Pair = (0, 0),
    share: Share = WHOLE,
) -> None:
    """`pool` from x to y, either of which may be a slice of wider pixels."""
    n, down, across, channels = y.shape
    lines = share.of(n * down)
    _pool(
        x,
        y,
        places,
        lines.start,
        lines.stop,
        *x.shape[1:3],
        channels,
        down,
        across,
        *geometry.kernel,
        *geometry.stride,
        *geometry.padding,
        *counted,
        int(of == "mean"),
        _pixel(x),
        _pixel(y),
        0 if places is None else places.shape[3],
    )


def _run_backward(
    dy: Array, places: Bytes | None, size: Pair, geometry: Geometry, counted: Pair
) -> Array:
    n, down, across, channels = dy.shape
    dx = empty_aligned((n, *size, channels), dy.dtype)
    _pool_backward(
        np.ascontiguousarray(dy),
        places,
        dx,
        n,
        *size,
        channels,
        down,
        across,
        *geometry.kernel,
        *geometry.stride,
        *geometry.padding,
        *counted,
        0 if places is None else places.shape[3],
    )
    return dx


def _pixel(x: Array) -> int:
    """How many elements lie from one pixel to the next; rows and images have no gaps."""
    shape: tuple[int, ...] = x.shape
    n, height, width, channels = shape
    if x.flags.c_contiguous:
        return channels
    image, row, pixel, value = (stride // x.itemsize for stride in x.strides)
    assert value == 1 or channels == 1, "channels lie side by side"
    assert row == width * pixel or height == 1, "rows follow each other"
    assert image == height * row or n == 1, "images follow each other"
    return pixel
