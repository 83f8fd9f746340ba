"""Planned convolutions by Winograd's algorithm (Lavin, Gray 2016): fewer multiplications.

F(m, r) makes m×m outputs of an r×r filter from a 6×6 patch d with 36 multiplications a channel
pair, where the plain form takes m²·r²: a quarter for F(4, 3), 36/100 for F(2, 5):

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

Over all channels, ⊙ becomes 36 matrix products. Both transforms are linear, so each is one product
with a Kronecker square: vec(Bᵀ d B) = (Bᵀ ⊗ Bᵀ) vec(d), a 36×36 matrix times all patches of a tile.

The points 0, ±1, ±2, ∞ cost accuracy: in float32 a layer's result differs from the exact one by up
to about 1e-5 of its largest value, against 5e-7 for the plain form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .finishing import Finish
from .packing import Weights
from .sharing import FILTERS_TOGETHER, WHOLE, Share
from .tiles import Tile, surrounded, tiles

PATCH = 6
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
_ONE = PATCH + 1  # where (1, 1) stands among the 36 products: it adds to every output alike
_TILES = ((128, 64), (256, 128))  # patches a tile for up to so many channels …
_MOST_TILES = 256  # … and beyond


def outputs(kernel: int) -> int:
    """m of F(m, kernel)."""
    return PATCH + 1 - kernel


def transforms(kernel: int) -> tuple[Array, Array, Array]:
    """(Bᵀ⊗Bᵀ [36, 36], G⊗G [36, kernel²], Aᵀ⊗Aᵀ [m², 36]) in float64."""
    m = outputs(kernel)
    b = np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        np.float64,
    )
    scales = (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24)
    finite = [
        [scale * p**j for j in range(kernel)] for p, scale in zip(_POINTS, scales, strict=True)
    ]
    g = np.array([*finite, [0.0] * (kernel - 1) + [1.0]])
    a = np.array([[p**i for p in _POINTS] + [float(i == m - 1)] for i in range(m)])
    return np.kron(b, b), np.kron(g, g), np.kron(a, a)


@dataclass(frozen=True, eq=False)
class Winograd:
    """Stride 1, square kernel of 3 or 5."""

    weights: Array  # [36, channels, filters]: G g Gᵀ
    bias: Array | None
    kernel: int
    padding: Pair
    finish: Finish  # without the bias
    into: Array  # Bᵀ ⊗ Bᵀ
    back: Array  # Aᵀ ⊗ Aᵀ

    @staticmethod
    def of(w: Weights, bias: Array | None, *, padding: Pair, finish: Finish) -> Winograd:
        """w is [k, k, channels, filters]."""
        kernel = w.shape[0]
        into, g, back = (t.astype(w.dtype) for t in transforms(kernel))

        def transformed(w: Array) -> Array:
            products: Array = np.matmul(g, w.reshape(kernel * kernel, -1))
            return products.reshape(-1, *w.shape[2:])

        return Winograd(w.packed(transformed), bias, kernel, padding, finish, into, back)

    @property
    def algorithm(self) -> str:
        return f"winograd F({outputs(self.kernel)},{self.kernel})"

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', O]."""
        n, height, width, filters = out.shape
        m = outputs(self.kernel)
        grid = -(-height // m), -(-width // m)
        inputs = n * grid[0] * grid[1] * PATCH * PATCH * x.shape[3]
        if share.by_filters(self.weights, inputs=inputs):
            some = share.of(filters, together=FILTERS_TOGETHER)
            self._only(some)(x, out[..., some], None if residual is None else residual[..., some])
            return
        widest = max(x.shape[3], filters)
        patches = next((t for limit, t in _TILES if widest <= limit), _MOST_TILES)
        for tile in tiles(n, grid, places=patches, share=share):
            y = self._product(x, tile, grid[1])
            last = min(tile.bottom * m, height)
            part = slice(tile.first, tile.last), slice(tile.top * m, last)
            self.finish.write(
                y[:, : last - tile.top * m, :width],
                out[part],
                None if residual is None else residual[part],
            )

    def _only(self, filters: slice) -> Winograd:
        bias = None if self.bias is None else self.bias[filters]
        return replace(self, weights=self.weights[..., filters], bias=bias)

    def _product(self, x: Array, tile: Tile, across: int) -> Array:
        """The tile's outputs [images, m · rows, m · across, filters], in scratch memory."""
        m, (_, channels, filters) = outputs(self.kernel), self.weights.shape
        source = surrounded(
            x[tile.first : tile.last],
            top=tile.top * m - self.padding[0],
            left=-self.padding[1],
            size=(tile.rows * m + self.kernel - 1, across * m + self.kernel - 1),
        )
        image, row, column, value = source.strides
        places = tile.images, tile.rows, across
        count = tile.images * tile.rows * across
        patches = scratch("patches", (PATCH, PATCH, *places, channels), x.dtype)
        strides = (row, column, image, m * row, m * column, value)
        np.copyto(patches, as_strided(source, patches.shape, strides, writeable=False))

        flat = PATCH * PATCH, count * channels
        transformed = scratch("transformed", flat, x.dtype)
        np.matmul(self.into, patches.reshape(flat), out=transformed)
        product = scratch("product", (PATCH * PATCH, count, filters), x.dtype)
        columns = transformed.reshape(PATCH * PATCH, count, channels)
        np.matmul(columns, self.weights, out=product)
        if self.bias is not None:
            product[_ONE] += self.bias
        y = scratch("outputs", (m, m, *places, filters), x.dtype)
        np.matmul(self.back, product.reshape(len(product), -1), out=y.reshape(m * m, -1))

        laid = scratch("laid", (tile.images, tile.rows, m, across, m, filters), x.dtype)
        np.copyto(laid, y.transpose(2, 3, 0, 4, 1, 5))
        return laid.reshape(tile.images, tile.rows * m, across * m, filters)
