"""How a planned kernel cuts its work: blocks of output that fit into a core's L2 cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch


class Tile(NamedTuple):
    """Images first … last-1, rows top … bottom-1 (all rows unless it is one image)."""

    first: int
    last: int
    top: int
    bottom: int

    @property
    def images(self) -> int:
        return self.last - self.first

    @property
    def rows(self) -> int:
        return self.bottom - self.top


def tiles(images: int, size: Pair, *, places: int) -> Iterator[Tile]:
    """Cut `images` grids of `size` (height, width) into tiles of about `places` places each."""
    height, width = size
    together = places // (height * width)
    if together:
        for first in range(0, images, together):
            yield Tile(first, min(first + together, images), 0, height)
        return
    rows = max(1, round(places / width))
    for image in range(images):
        for top in range(0, height, rows):
            yield Tile(image, image + 1, top, min(top + rows, height))


def surrounded(x: Array, *, top: int, left: int, size: Pair, value: float = 0.0) -> Array:
    """x[:, top : top + height, left : left + width] for any corner, `value` outside the image.

    A view where the part lies inside the image, else scratch memory.
    """
    n, h, w, c = x.shape
    rows, columns = size
    above, below = (min(max(row, 0), h) for row in (top, top + rows))
    before, behind = (min(max(column, 0), w) for column in (left, left + columns))
    inside = x[:, above:below, before:behind]
    if inside.shape[1:3] == size:
        return inside
    part = scratch("surrounded", (n, rows, columns, c), x.dtype)
    part.fill(value)
    part[:, above - top : below - top, before - left : behind - left] = inside
    return part


def matrix(x: Array) -> Array:
    """A view of x [N, H, W, C] with one row a pixel; channels may be a slice of wider pixels."""
    pixels = x.view()
    pixels.shape = (-1, x.shape[-1])  # unlike reshape, never a silent copy
    return pixels
