"""How a planned kernel cuts its work: blocks of output that fit into a core's L2 cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .sharing import WHOLE, Share


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


def tiles(images: int, size: Pair, *, places: int, share: Share = WHOLE) -> Iterator[Tile]:
    """Cut `images` grids of `size` (height, width) into tiles of about `places` places each.

    Of the rows of all images, one below the other, only the share's are cut.
    """
    height, width = size
    together = places // (height * width)
    rows = height if together else max(1, round(places / width))
    part = share.of(images * height)
    row = part.start
    while row < part.stop:
        image, top = divmod(row, height)
        left = part.stop - row
        if together and not top and left >= height:
            tile = Tile(image, image + min(together, left // height), 0, height)
        else:
            tile = Tile(image, image + 1, top, min(top + rows, top + left, height))
        yield tile
        row += tile.images * tile.rows


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
