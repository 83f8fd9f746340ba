"""Planned convolutions by matrix product: im2col in tiles, and 1×1 without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .finishing import Finish
from .sharing import FILTERS_TOGETHER, WHOLE, Share
from .tiles import matrix, surrounded, tiles

_TILE_BYTES = 1 << 19  # half of a common L2 cache; the other half is for weights and output
_FEWEST_ROWS, _MOST_ROWS = 256, 1024
_POINTWISE_ROWS = 512
_FEW_ROWS = 3  # up to here, one product of vector and matrix a row reads the weights at full speed


@dataclass(frozen=True)
class Geometry:
    """How windows move over the image, each as (vertical, horizontal)."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def reach(self, rows: int, axis: int) -> int:
        """How many places of the input `rows` windows in line cover."""
        return (rows - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1


@dataclass(frozen=True, eq=False)
class Im2col:
    """One row a pixel, one column a weight, and one product a tile (Chellapilla et al. 2006)."""

    weights: Array  # [kernel height · kernel width · channels, filters]
    geometry: Geometry
    finish: Finish
    algorithm = "im2col"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', O]."""
        n, height, width, filters = out.shape
        depth = len(self.weights)
        if share.by_filters(self.weights, inputs=n * height * width * depth):
            some = share.of(filters, together=FILTERS_TOGETHER)
            self._only(some)(x, out[..., some], None if residual is None else residual[..., some])
            return
        places = min(_MOST_ROWS, max(_FEWEST_ROWS, _TILE_BYTES // (depth * x.itemsize)))
        for tile in tiles(n, (height, width), places=places, share=share):
            pixels = tile.images * tile.rows * width
            columns = self._columns(x, tile.first, tile.last, tile.top, tile.rows, width)
            y = scratch("product", (pixels, filters), x.dtype)
            np.matmul(columns, self.weights, out=y)
            self.finish.add_bias(y)
            part = slice(tile.first, tile.last), slice(tile.top, tile.bottom)
            self.finish.write(
                y.reshape(tile.images, tile.rows, width, filters),
                out[part],
                None if residual is None else residual[part],
            )

    def _only(self, filters: slice) -> Im2col:
        return Im2col(self.weights[:, filters], self.geometry, self.finish.only(filters))

    def _columns(self, x: Array, first: int, last: int, top: int, rows: int, width: int) -> Array:
        shape = self.geometry
        (kh, kw), (sy, sx), (dy, dx) = shape.kernel, shape.stride, shape.dilation
        source = surrounded(
            x[first:last],
            top=top * sy - shape.padding[0],
            left=-shape.padding[1],
            size=(shape.reach(rows, 0), shape.reach(width, 1)),
        )
        n, c = len(source), x.shape[3]
        image, row, column, value = source.strides
        windows = as_strided(
            source,
            (n, rows, width, kh, kw, c),
            (image, row * sy, column * sx, row * dy, column * dx, value),
            writeable=False,
        )
        columns = scratch("columns", windows.shape, x.dtype)
        np.copyto(columns, windows)
        return columns.reshape(n * rows * width, kh * kw * c)


@dataclass(frozen=True, eq=False)
class Pointwise:
    """1×1, stride 1: every pixel is a row already."""

    weights: Array  # [channels, filters]
    finish: Finish
    algorithm = "product"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H, W, O]; or [N, C] to [N, O]."""
        if share.by_filters(self.weights, inputs=x.size):
            some = share.of(out.shape[-1], together=FILTERS_TOGETHER)
            kernel = Pointwise(self.weights[:, some], self.finish.only(some))
            kernel(x, out[..., some], None if residual is None else residual[..., some])
            return
        rows, results = matrix(x), matrix(out)
        added = None if residual is None else matrix(residual)
        own = share.of(len(rows))
        for first in range(own.start, own.stop, _POINTWISE_ROWS):
            part = slice(first, min(first + _POINTWISE_ROWS, own.stop))
            y = scratch("product", results[part].shape, x.dtype)
            if len(y) <= _FEW_ROWS:
                for row, result in zip(rows[part], y, strict=True):
                    np.matmul(row, self.weights, out=result)
            else:
                np.matmul(rows[part], self.weights, out=y)
            self.finish.add_bias(y)
            self.finish.write(y, results[part], None if added is None else added[part])
