"""Convolution by the direct kernels: forward, planned, and the gradient of its input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.planned.convolution import Geometry
from convnest_core.kernels.planned.finishing import Activation
from convnest_core.kernels.planned.packing import Weights
from convnest_core.kernels.planned.sharing import WHOLE, Share
from convnest_core.kernels.scratch import scratch
from convnest_core.kernels.windows import slid

from .machine import Machine, machine
from .native import Native

_BAND_BYTES = 1 << 18  # of x, beside a block's weights and y in a common L2 cache
_MOST_SUMS = 1024  # values of a register tile, at least

_direct = Native("direct", "direct")
_narrow = Native("direct", "direct_narrow")


@dataclass(frozen=True)
class Sum:
    """Windows that slide over x, and where in y their results lie.

    Window (i, j) begins at `stride` · (i, j) - `before`. It has `phases` results: number (a, b)
    goes to y[phases · (i, j) + (a, b) - `cut`], where there is such a place.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    phases: Pair = (1, 1)
    cut: Pair = (0, 0)

    @staticmethod
    def of(geometry: Geometry) -> Sum:
        """The sum that gives y from x."""
        return Sum(geometry.kernel, geometry.stride, geometry.dilation, geometry.padding)

    @staticmethod
    def transposed(kernel: Pair, *, stride: Pair, padding: Pair) -> Sum:
        """The sum that gives dx from dy, for `_transposed` weights."""
        kh, kw = (-(-k // s) - 1 for k, s in zip(kernel, stride, strict=True))
        return Sum(kernel, (1, 1), (1, 1), (kh, kw), phases=stride, cut=padding)

    @property
    def taps(self) -> Pair:
        """How many taps a phase has, at most."""
        return -(-self.kernel[0] // self.phases[0]), -(-self.kernel[1] // self.phases[1])

    def first(self, axis: int) -> int:
        """The first window along an axis that has a result in y."""
        return self.cut[axis] // self.phases[axis]

    def windows(self, out: Array, axis: int) -> int:
        """How many windows along an axis have results in y."""
        last: int = (out.shape[1 + axis] - 1 + self.cut[axis]) // self.phases[axis]
        return last + 1 - self.first(axis)

    def reach(self, windows: int, axis: int) -> int:
        """How many rows or columns of x so many neighbouring windows see."""
        return (windows - 1) * self.stride[axis] + (self.taps[axis] - 1) * self.dilation[axis] + 1

    def stays_inside(self, x: Array, out: Array) -> bool:
        """Whether no window leaves the image."""
        for axis in (0, 1):
            begin = self.first(axis) * self.stride[axis] - self.before[axis]
            end = begin + self.reach(self.windows(out, axis), axis)
            if begin < 0 or end > x.shape[1 + axis]:
                return False
        return True


@dataclass(frozen=True, eq=False)
class Direct:
    """A sum with its weights, packed; it maps x [N, H, W, C] to y [N, H', W', O]."""

    sum: Sum
    filters: int
    blocks: Array | None  # [blocks, depth, BLOCK]
    rest: Array | None  # [1, depth, WIDTH]: the last filters, where they are no more than that
    bias: Array | None  # with zeros up to a whole block
    rectified: bool

    @staticmethod
    def of(sum_: Sum, w: Weights, b: Array | None, *, rectified: bool = False) -> Direct:
        """w is [..., filters], of as many taps and channels as the sum has; b [filters]."""
        found = found_machine()
        filters = w.shape[-1]
        whole = filters - filters % found.block
        if filters - whole > found.width:
            whole = filters
        blocks = rest = None
        if whole:
            blocks = w.packed(lambda w: _packed(w[..., :whole], found.block))
        if whole < filters:
            rest = w.packed(lambda w: _packed(w[..., whole:], found.width))
        bias = None if b is None else np.pad(b, (0, -filters % found.block))
        return Direct(sum_, filters, blocks, rest, bias, rectified)

    @property
    def algorithm(self) -> str:
        """For people, with the tile: pixels × vectors of filters."""
        found = found_machine()
        if self.blocks is None:
            return f"direct {found.pixels + 2}×1"
        return f"direct {found.pixels}×{found.vectors}"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """`x`, `out` and `residual` may be slices of wider pixels."""
        lines = len(x) * self.sum.windows(out, 0)
        whole = self.filters
        if self.rest is not None:
            whole -= self.filters % found_machine().block
            some = slice(whole, self.filters)
            self._run(_narrow, self.rest, some, share.of(lines), x, out, residual)
        if self.blocks is None:
            return
        block = self.blocks.shape[2]
        if len(self.blocks) >= share.size > 1 and self.blocks.size > x.size:
            # Each member reads all of x and its own weights, not all weights and its part of x.
            some, part = share.of(whole, together=block), slice(0, lines)
        else:
            some, part = slice(0, whole), share.of(lines)
        weights = self.blocks[some.start // block : -(-some.stop // block)]
        self._run(_direct, weights, some, part, x, out, residual)

    def _run(
        self,
        native: Native,
        weights: Array,
        filters: slice,
        lines: slice,
        x: Array,
        out: Array,
        residual: Array | None,
    ) -> None:
        if lines.start >= lines.stop or filters.start >= filters.stop:
            return
        s = self.sum
        x = with_whole_pixels(x)
        _, height, width, channels = x.shape
        y = out[..., filters]
        r = None if residual is None else residual[..., filters]
        line = s.reach(s.windows(out, 1), 1) * channels
        most = max(1, (_BAND_BYTES // (4 * line) - s.reach(1, 0)) // s.stride[0] + 1)
        band = min(s.windows(out, 0), most)
        space = None
        if not s.stays_inside(x, out):
            space = scratch("direct", (s.reach(band, 0) * line,), x.dtype)
        native(
            x,
            space,
            scratch("sums", (_MOST_SUMS,), x.dtype),
            weights,
            None if self.bias is None else self.bias[filters.start :],
            r,
            y,
            *(lines.start, lines.stop, band, channels, filters.stop - filters.start),
            *(height, width, *distances(x)),
            *(out.shape[1], out.shape[2], *distances(y)),
            *((0, 0, 0) if r is None else distances(r)),
            *(*s.kernel, *s.stride, *s.dilation, *s.before, *s.phases, *s.cut),
            int(self.rectified),
        )


def planned(
    w: Weights, b: Array | None, geometry: Geometry, *, activation: Activation | None
) -> Direct:
    """The planned kernel for w [kh, kw, C, O], with the activation and a residual in its tiles."""
    return Direct.of(Sum.of(geometry), w, b, rectified=activation == "relu")


def convolve(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    geometry: Geometry,
    groups: int = 1,
    rectify: bool = False,
) -> Array:
    """As `kernels.convolve`."""
    height, width = slid(
        (x.shape[1], x.shape[2]),
        kernel=geometry.kernel,
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
    )
    y = np.empty((len(x), height, width, w.shape[3]), x.dtype)
    for inputs, outputs in groups_of(w, groups):
        bias = None if b is None else b[outputs]
        activation: Activation | None = "relu" if rectify else None
        kernel = planned(Weights(w[..., outputs]), bias, geometry, activation=activation)
        kernel(x[..., inputs], y[..., outputs])
    return y


def input_gradient(
    w: Array, dy: Array, size: Pair, *, stride: Pair, padding: Pair, groups: int = 1
) -> Array:
    """dx [N, *size, C] from dy [N, H', W', O]; without dilation."""
    dx = np.empty((len(dy), *size, w.shape[2] * groups), dy.dtype)
    kernel = w.shape[0], w.shape[1]
    windows = Sum.transposed(kernel, stride=stride, padding=padding)
    for inputs, outputs in groups_of(w, groups):
        weights = _transposed(w[..., outputs], stride)
        Direct.of(windows, Weights(weights), None)(dy[..., outputs], dx[..., inputs])
    return dx


def _transposed(w: Array, stride: Pair) -> Array:
    """w [kh, kw, C, O] as [kh · kw · O, C], flipped, its taps sorted by phase."""
    phases = [
        w[a :: stride[0], b :: stride[1]][::-1, ::-1].transpose(0, 1, 3, 2)
        for a in range(stride[0])
        for b in range(stride[1])
    ]
    return np.concatenate([phase.reshape(-1, w.shape[2]) for phase in phases])


def _packed(w: Array, block: int) -> Array:
    """w [..., filters] as [blocks, depth, block], with zeros for filters that do not exist."""
    w = w.reshape(-1, w.shape[-1])
    depth, filters = w.shape
    w = np.pad(w, ((0, 0), (0, -filters % block)))
    return np.ascontiguousarray(w.reshape(depth, -1, block).transpose(1, 0, 2))


def groups_of(w: Array, groups: int) -> list[tuple[slice, slice]]:
    """The channels of each group, coming in and going out."""
    inputs, outputs = w.shape[2], w.shape[3] // groups
    return [
        (slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs))
        for g in range(groups)
    ]


def with_whole_pixels(x: Array) -> Array:
    """x itself where the channels of a pixel lie together, else a copy."""
    return x if x.shape[3] == 1 or x.strides[3] == x.itemsize else np.ascontiguousarray(x)


def distances(x: Array) -> tuple[int, int, int]:
    """Elements from one image, row and pixel to the next."""
    image, row, pixel, _ = (stride // x.itemsize for stride in x.strides)
    return image, row, pixel


def found_machine() -> Machine:
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    return found
