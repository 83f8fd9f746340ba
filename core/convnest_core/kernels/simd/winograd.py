"""Convolution by Winograd's algorithm: forward, planned, and the gradient of its input.

`sources.winograd` has the arithmetic. It takes kernels of 3×3 and 5×5 at stride 1, and differs from
the exact result by up to 2e-5 of its largest value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.planned.finishing import Activation
from convnest_core.kernels.planned.packing import Weights
from convnest_core.kernels.planned.sharing import WHOLE, Share
from convnest_core.kernels.scratch import scratch
from convnest_core.kernels.windows import slid

from .machine import Machine, machine
from .native import Native

_winograd = Native("winograd", "winograd")
_weights = Native("winograd_weights", "winograd_weights")
_weights_back = Native("winograd_weights", "winograd_weights_back")

PATCH = 6
PRODUCTS = PATCH * PATCH

_TOGETHER, _MANY_TOGETHER = 28, 112  # tiles whose transforms stay in the cache …
_MANY_CHANNELS = 512  # … until reading the weights again costs more than reading the tiles again
_WEIGHTS_BYTES = 1 << 26  # of scratch memory, for transformed weights; parting them only costs


def cpu() -> Machine:
    """What kernels are generated for here."""
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    return found


def outputs(kernel: int) -> int:
    """m of F(m, kernel)."""
    return PATCH + 1 - kernel


def blocks_of(filters: int) -> int:
    """How many blocks so many filters fill."""
    return -(-filters // cpu().block)


def tiles_of(size: Pair, kernel: int) -> int:
    """How many tiles an image of so many outputs has."""
    m = outputs(kernel)
    return -(-size[0] // m) * -(-size[1] // m)


def apart(count: int) -> int:
    """At least `count` values: an odd number of vectors, so that rows share no set of the cache."""
    vectors = -(-count // cpu().width)
    return (vectors | 1) * cpu().width


def pixels(x: Array) -> Array:
    """x itself if the channels of a pixel lie side by side, and all runs forwards; or a copy."""
    forwards = min(x.strides) >= 0 and x.strides[-1] == x.itemsize
    return x if forwards else np.ascontiguousarray(x)


def distances(x: Array | None) -> tuple[int, int, int]:
    """Between images, rows and pixels, in values."""
    if x is None:
        return 0, 0, 0
    image, row, pixel = (stride // x.itemsize for stride in x.strides[:3])
    return image, row, pixel


def some_filters(filters: int, channels: int) -> Iterator[slice]:
    """Runs of whole blocks whose products with all channels fill `_WEIGHTS_BYTES`."""
    together = max(1, _WEIGHTS_BYTES // (PRODUCTS * channels * cpu().block * 4)) * cpu().block
    for first in range(0, filters, together):
        yield slice(first, min(first + together, filters))


def plane(filters: int, channels: int) -> int:
    """Values of one of the 36 planes of transformed weights."""
    return apart(blocks_of(filters) * cpu().block * channels)


def transform(w: Array, u: Array) -> None:
    """G g Gᵀ of w [k, k, C, O] to u [36, plane(O, C)]."""
    kernel, _, channels, filters = w.shape
    g = scratch("winograd.filters", (kernel * kernel * cpu().width,), w.dtype)
    _weights(w, u, g, _patch(w), kernel, channels, filters, *_steps(w), u.shape[1])


def transform_back(w: Array, u: Array) -> None:
    """The same of w turned by 180°, channels and filters exchanged, to u [36, plane(C, O)]."""
    kernel, _, channels, filters = w.shape
    g = scratch("winograd.filters", ((kernel * kernel + 1) * cpu().width * cpu().width,), w.dtype)
    _weights_back(w, u, g, _patch(w), kernel, channels, filters, *_steps(w), u.shape[1])


def _patch(x: Array) -> Array:
    return scratch("winograd.patch", (PRODUCTS * cpu().width,), x.dtype)


def _steps(w: Array) -> Pair:
    return w.strides[1] // w.itemsize, w.strides[2] // w.itemsize


def _multiply(
    x: Array,
    u: Array,
    b: Array | None,
    y: Array,
    *,
    kernel: int,
    padding: Pair,
    residual: Array | None = None,
    rectified: bool = False,
    part: slice | None = None,
) -> None:
    """y = activation(x * w + b + residual) from transformed weights: all tiles, or `part`."""
    n, height, width, filters = y.shape
    channels = x.shape[3]
    tiles = n * tiles_of((height, width), kernel)
    own = part or slice(0, tiles)
    wide = max(channels, filters) >= _MANY_CHANNELS
    together = max(1, min(_MANY_TOGETHER if wide else _TOGETHER, own.stop - own.start))
    rows = together + cpu().pixels  # the last register tile may be part full
    v_row, m_row = apart(channels), apart(blocks_of(filters) * cpu().block)
    v_plane, m_plane = apart(rows * v_row), apart(rows * m_row)
    _winograd(
        x,
        u,
        b,
        residual,
        y,
        scratch("winograd.patches", (PRODUCTS * v_plane,), x.dtype),
        scratch("winograd.products", (PRODUCTS * m_plane,), x.dtype),
        _patch(x),
        *distances(x),
        *distances(residual),
        *distances(y),
        *x.shape[1:],
        height,
        width,
        filters,
        outputs(kernel),
        *padding,
        own.start,
        own.stop,
        together,
        v_row,
        v_plane,
        m_row,
        m_plane,
        u.strides[0] // u.itemsize,
        int(rectified),
    )


def convolve(x: Array, w: Array, b: Array | None, *, padding: Pair, rectify: bool = False) -> Array:
    """y [N, H', W', O] = x [N, H, W, C] * w [k, k, C, O] + b [O], stride 1; or max(y, 0)."""
    kernel, _, channels, filters = w.shape
    x, w = pixels(x), np.ascontiguousarray(w)
    size = slid(x.shape[1:3], kernel=(kernel, kernel), stride=(1, 1), padding=padding)
    y = empty_aligned((len(x), *size, filters), x.dtype)
    for some in some_filters(filters, channels):
        many = some.stop - some.start
        u = scratch("winograd.weights", (PRODUCTS, plane(many, channels)), w.dtype)
        transform(w[..., some], u)
        bias = None if b is None else b[some]
        _multiply(x, u, bias, y[..., some], kernel=kernel, padding=padding, rectified=rectify)
    return y


def input_gradient(dy: Array, w: Array, *, size: Pair, padding: Pair) -> Array:
    """dx [N, height, width, C] of `convolve` for dy [N, H', W', O]: a convolution with w turned."""
    kernel, _, channels, filters = w.shape
    dy, w = pixels(dy), np.ascontiguousarray(w)
    dx = empty_aligned((len(dy), *size, channels), dy.dtype)
    back = kernel - 1 - padding[0], kernel - 1 - padding[1]
    for some in some_filters(channels, filters):
        many = some.stop - some.start
        u = scratch("winograd.weights", (PRODUCTS, plane(many, filters)), w.dtype)
        transform_back(w[:, :, some], u)
        _multiply(dy, u, None, dx[..., some], kernel=kernel, padding=back)
    return dx


def planned(
    w: Weights, b: Array | None, *, padding: Pair, activation: Activation | None
) -> Winograd:
    """The kernel of a plan for w [k, k, C, O], which it packs."""
    kernel, _, channels, filters = w.shape

    def transformed(w: Array) -> Array:
        u = empty_aligned((PRODUCTS, plane(filters, channels)), w.dtype)
        transform(np.ascontiguousarray(w), u)
        return u

    return Winograd(w.packed(transformed), b, kernel, channels, padding, activation)


@dataclass(frozen=True, eq=False)
class Winograd:
    """A planned convolution at stride 1."""

    weights: Array  # [36, plane(filters, channels)]
    bias: Array | None
    kernel: int
    channels: int
    padding: Pair
    activation: Activation | None

    @property
    def algorithm(self) -> str:
        return f"winograd F({outputs(self.kernel)},{self.kernel}) {cpu().pixels}×{cpu().vectors}"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', O]."""
        n, height, width, filters = out.shape
        if x.shape[3] != self.channels or self.weights.shape[1] != plane(filters, self.channels):
            raise ValueError(f"these weights do not take {x.shape} to {out.shape}")
        tiles = n * tiles_of((height, width), self.kernel)
        weights, bias, part = self.weights, self.bias, share.of(tiles)
        # Every member of few tiles would read all the weights for less than two register tiles.
        if tiles < 2 * cpu().pixels * share.size and blocks_of(filters) >= share.size > 1:
            some, part = share.of(filters, together=cpu().block), slice(0, tiles)
            weights = weights[:, some.start * self.channels :]
            bias = None if bias is None else bias[some]
            out = out[..., some]
            residual = None if residual is None else residual[..., some]
        if part.start == part.stop:
            return
        _multiply(
            x,
            weights,
            bias,
            out,
            kernel=self.kernel,
            padding=self.padding,
            residual=residual,
            rectified=self.activation == "relu",
            part=part,
        )
