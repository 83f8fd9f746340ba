"""Planned pooling: first over rows, then over columns, in tiles that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.scratch import scratch
from convnest_core.kernels.windows import tap

from .convolution import Geometry
from .sharing import WHOLE, Share
from .tiles import surrounded, tiles

_TILE_BYTES = 1 << 18


@dataclass(frozen=True)
class Pooling:
    """The largest value or the mean of each window; no window of a mean leaves the image."""

    geometry: Geometry
    of: Literal["largest", "mean"]

    @property
    def algorithm(self) -> str:
        return f"{self.of}, rows then columns"

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """x [N, H, W, C] to out [N, H', W', C], whose size says how many windows there are."""
        shape = self.geometry
        (kh, kw), (sy, sx) = shape.kernel, shape.stride
        n, height, width, c = out.shape
        across = shape.reach(width, 1)
        places = max(width, _TILE_BYTES // (c * x.itemsize * sy * sx))
        for tile in tiles(n, (height, width), places=places, share=share):
            source = surrounded(
                x[tile.first : tile.last],
                top=tile.top * sy - shape.padding[0],
                left=-shape.padding[1],
                size=(shape.reach(tile.rows, 0), across),
                value=-np.inf if self.of == "largest" else 0.0,
            )
            rows = scratch("rows", (tile.images, tile.rows, across, c), x.dtype)
            self._combine([source[:, tap(i, tile.rows, sy)] for i in range(kh)], rows)
            y = out[tile.first : tile.last, tile.top : tile.bottom]
            self._combine([rows[:, :, tap(j, width, sx)] for j in range(kw)], y)
            if self.of == "mean":
                np.multiply(y, 1.0 / (kh * kw), out=y)

    def _combine(self, parts: Sequence[Array], out: Array) -> None:
        two: Callable[..., object] = np.maximum if self.of == "largest" else np.add
        if len(parts) == 1:
            np.copyto(out, parts[0])
            return
        two(parts[0], parts[1], out=out)
        for part in parts[2:]:
            two(out, part, out=out)
