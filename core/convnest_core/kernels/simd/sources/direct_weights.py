"""The gradient of a convolution's weights, and of its bias, in register tiles over the taps.

    dw[t, u, c, o] = Σ_n Σ_i Σ_j x[n, s·i + t - p, s·j + u - p, c] · dy[n, i, j, o]
    db[o] = Σ_n Σ_i Σ_j dy[n, i, j, o]

The sum runs over pixels, so a tile holds P weights of Q vectors of filters while a band of pixels
passes: under each pixel the weights (u, c) of one t meet kw · C values of x that lie in a run. The
band is small enough that dy, packed for one block of filters, stays in the L1 cache while all taps
pass over it; then the tile's sums are added to dw.

Source: Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
architectures", 2018, section on the weight update.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    PIXELS,
    VECTORS,
    WIDTH,
    Floats,
    FloatsOut,
    load,
    load_part,
    part,
    reading,
    store,
    tile,
    zero,
)

from .bands import Grid, fill


class Band(NamedTuple):
    """Pixels in scratch memory: x below the windows of `images` × `rows` × `columns` pixels."""

    x: Any  # a span: [images, reach, across, channels]
    image: int  # distances of windows
    row: int
    pixel: int
    dy: Any  # a span: [images, rows, columns, lanes]
    images: int
    rows: int
    columns: int


def _taps(count: int, vectors: int) -> Any:
    """The gradients of `count` weights that lie in a run."""
    acc = tile(count, vectors)
    lanes = vectors * WIDTH

    @part
    def taps(band, first, dw, at):
        sums, g = acc.zero(), 0
        for n in range(band.images):
            for i in range(band.rows):
                x = first + n * band.image + i * band.row
                for _ in range(band.columns):
                    sums = acc.grow(sums, band.x, x, 1, band.dy, g)
                    x += band.pixel
                    g += lanes
        sums = acc.add(sums, dw, at, lanes)
        acc.store(sums, dw, at, lanes)

    return taps


@part
def _pack(dy, first, image, row, pixel, images, rows, columns, channels, lanes, to, db, db_at):
    """One block of dy to [images, rows, columns, lanes]; its column sums are added to db."""
    for o in range(0, lanes, WIDTH):
        count = min(WIDTH, channels - o)
        summed, at = zero(), o
        for n in range(images):
            for i in range(rows):
                place = first + n * image + i * row + o
                for _ in range(columns):
                    value = load(dy, place) if count == WIDTH else load_part(dy, place, count)
                    store(to, at, value)
                    summed = summed + value
                    place += pixel
                    at += lanes
        store(db, db_at + o, load(reading(db), db_at + o) + summed)


def _kernel(sizes: tuple[int, ...], vectors: int) -> Any:
    """The kernel for blocks of so many vectors, with tiles of so many taps, the largest first."""
    LARGE, MIDDLE, SMALL = sizes
    large, middle, small, one = (_taps(count, vectors) for count in (*sizes, 1))
    lanes = vectors * WIDTH

    def direct_weights(
        x: Floats,
        dy: Floats,
        dw: FloatsOut,
        db: FloatsOut,
        space: FloatsOut,
        packed: FloatsOut,
        images: int,
        together: int,
        band: int,
        channels: int,
        filters: int,
        height: int,
        width: int,
        x_image: int,
        x_row: int,
        x_pixel: int,
        rows: int,
        columns: int,
        y_image: int,
        y_row: int,
        y_pixel: int,
        kernel_rows: int,
        kernel_columns: int,
        stride_y: int,
        stride_x: int,
        above: int,
        before: int,
    ) -> None:
        """Add to dw [blocks, kernel rows, kernel columns · channels, lanes], db [blocks · lanes].

        A band is `together` images × `band` rows of dy.
        """
        across = (columns - 1) * stride_x + kernel_columns
        line = across * channels
        run = kernel_columns * channels
        for n in range(0, images, together):
            many = min(together, images - n)
            for top in range(0, rows, band):
                tall = min(band, rows - top)
                reach = (tall - 1) * stride_y + kernel_rows
                for m in range(many):
                    grid = Grid(x, (n + m) * x_image, x_row, x_pixel, height, width)
                    corner = top * stride_y - above
                    fill(space, m * reach * line, grid, corner, -before, reach, across, channels)
                pixels = Band(
                    *(reading(space), reach * line, stride_y * line, stride_x * channels),
                    *(reading(packed), many, tall, columns),
                )
                for c in range(0, filters, lanes):
                    first = n * y_image + top * y_row + c
                    _pack(
                        *(dy, first, y_image, y_row, y_pixel, many, tall, columns),
                        *(filters - c, lanes, packed, db, c),
                    )
                    at = c * kernel_rows * run
                    for t in range(kernel_rows):
                        i = 0
                        while i < run:
                            left, place = run - i, t * line + i
                            if left >= LARGE and left % MIDDLE:
                                large(pixels, place, dw, at)
                                done = LARGE
                            elif left >= MIDDLE:
                                middle(pixels, place, dw, at)
                                done = MIDDLE
                            elif left >= SMALL:
                                small(pixels, place, dw, at)
                                done = SMALL
                            else:
                                one(pixels, place, dw, at)
                                done = 1
                            i += done
                            at += done * lanes

    return direct_weights


_FEW = max(2, PIXELS // 4)
#: Blocks of VECTORS · WIDTH filters.
direct_weights = _kernel((PIXELS, PIXELS - 2, _FEW), VECTORS)
#: At most WIDTH filters.
direct_weights_narrow = _kernel((2 * PIXELS, 2 * PIXELS - 4, _FEW), 1)
