"""dW by Winograd's algorithm: the same six points, the outputs now being the filter.

A tile of m×m values of dY and the 6×6 patch of X that its outputs came from give an r×r gradient,
r = 7 - m, so F(r, m). As a bilinear form it is the forward pass seen from the weights:

    dW = Gᵀ [ Σ over tiles (A dY Aᵀ) ⊙ (Bᵀ d B) ] G

The sum over tiles is 36 products Vᵀ · D, for V [tiles, channels] and D [tiles, filters]; they are
summed up block by block of tiles, which keeps rounding small, and transformed once at the end.
"""

from __future__ import annotations

from typing import Any

from convnest_core.kernels.simd.language import (
    BLOCK,
    PIXELS,
    VECTORS,
    WIDTH,
    Floats,
    FloatsOut,
    is_given,
    load,
    load_part,
    part,
    reading,
    store,
    store_part,
    tile,
    zero,
)
from convnest_core.kernels.simd.sources.winograd_transforms import (
    POINTS,
    PRODUCTS,
    ROW,
    Image,
    Planes,
    evaluated,
    gathered,
    patch_inside,
    patch_over,
    scaled,
    six,
)

_SUM = POINTS + 1  # the product at the points (1, 1): there D is the sum of a tile's values


def _rows(channels: int, vectors: int) -> Any:
    """One plane's product for some channels and `vectors` vectors of filters."""
    acc = tile(channels, vectors)

    @part
    def rows(v, v0, v_row, d, d0, d_row, tiles, total, total0, total_row, more):
        sums = acc.zero()
        for t in range(tiles):
            sums = acc.grow(sums, v, v0 + t * v_row, 1, d, d0 + t * d_row)
        if more:
            sums = acc.add(sums, total, total0, total_row)
        acc.store(sums, total, total0, total_row)

    return rows


_FEW = 4
_many, _few = _rows(PIXELS, VECTORS), _rows(_FEW, VECTORS)
_many_narrow = _rows(PIXELS, 1)


@part
def _multiply(v, v0, v_row, d, d0, d_row, tiles, total, total0, total_row, channels, filters, more):
    """total [channels, filters] += Vᵀ · D, `channels` rounded up."""
    for o in range(0, filters, BLOCK):
        narrow = filters - o <= WIDTH
        c = 0
        while c < channels:
            many = c + PIXELS - _FEW < channels
            a, b, z = v0 + c, d0 + o, total0 + c * total_row + o
            if many and narrow:
                _many_narrow(v, a, v_row, d, b, d_row, tiles, total, z, total_row, more)
            elif many:
                _many(v, a, v_row, d, b, d_row, tiles, total, z, total_row, more)
            else:
                _few(v, a, v_row, d, b, d_row, tiles, total, z, total_row, more)
            c += PIXELS if many else _FEW


def _spread(m: int) -> Any:
    """A dY Aᵀ of an m×m tile, WIDTH filters."""
    values = evaluated(m)

    @part
    def spread(dy, corner, s, to):
        for j in range(m):
            six.write(s, j * WIDTH, ROW, values(dy.data, corner + j * dy.pixel, dy.row))
        for i in range(POINTS):
            row = values(reading(s), i * ROW, WIDTH)
            six.write(to.data, to.first + i * POINTS * to.apart, to.apart, row)

    return spread


_spread_four, _spread_two = _spread(4), _spread(2)


@part
def _tile_over(dy, corner, inside, filters, m, s):
    """A copy of a tile that leaves the image or has fewer filters: zeros stand there."""
    height, width = inside
    for i in range(m):
        for j in range(m):
            some = filters if i < height and j < width else 0
            value = load_part(dy.data, corner + i * dy.row + j * dy.pixel, some)
            store(s, (PRODUCTS + i * m + j) * WIDTH, value)


def _taps(r: int) -> Any:
    """Gᵀ S G of one channel and WIDTH filters: r×r taps, `tap` apart."""
    coefficients = gathered(r)

    @part
    def column(total, at, down):
        return coefficients(*scaled(six.read(total, at, down)))

    @part
    def put(s, at, apart, values):
        store(s, at, values[0])
        store(s, at + apart, values[1])
        store(s, at + 2 * apart, values[2])
        if r > 3:
            store(s, at + 3 * apart, values[3])
            store(s, at + 4 * apart, values[4])

    @part
    def put_part(w, at, apart, values, filters):
        store_part(w, at, values[0], filters)
        store_part(w, at + apart, values[1], filters)
        store_part(w, at + 2 * apart, values[2], filters)
        if r > 3:
            store_part(w, at + 3 * apart, values[3], filters)
            store_part(w, at + 4 * apart, values[4], filters)

    @part
    def taps(total, first, plane, s, w, w0, tap, filters):
        for j in range(POINTS):
            put(s, j * WIDTH, ROW, column(reading(total), first + j * plane, POINTS * plane))
        for i in range(r):
            values = column(reading(s), i * ROW, WIDTH)
            if filters >= WIDTH:
                put(w, w0 + i * r * tap, tap, values)
            else:
                put_part(w, w0 + i * r * tap, tap, values, filters)

    return taps


_three, _five = _taps(3), _taps(5)


def winograd_gradient(
    x: Floats,
    dy: Floats,
    dw: FloatsOut,
    db: FloatsOut,
    v: FloatsOut,
    d: FloatsOut,
    total: FloatsOut,
    s: FloatsOut,
    x_image: int,
    x_row: int,
    x_pixel: int,
    dy_image: int,
    dy_row: int,
    dy_pixel: int,
    in_height: int,
    in_width: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    outputs: int,
    top: int,
    left: int,
    tiles_in_all: int,
    together: int,
    v_row: int,
    v_plane: int,
    d_row: int,
    d_plane: int,
    total_row: int,
    total_plane: int,
    tap: int,
    channel: int,
) -> None:
    """dw [r, r, channels, filters] and db [filters] from x, dy and as many tiles of dy.

    x is padded by `top` and `left`; v, d, total and s are scratch memory for `together` tiles, all
    36 products, and one patch with one tile. dw's taps lie `tap` apart, its channels `channel`.
    """
    down, across = -(-height // outputs), -(-width // outputs)
    xs, dys, tile_copy = Image(x, x_row, x_pixel), Image(dy, dy_row, dy_pixel), PRODUCTS * WIDTH
    copies = Image(reading(s), outputs * WIDTH, WIDTH)
    start = 0
    while start < tiles_in_all:
        tiles = min(together, tiles_in_all - start)
        for t in range(tiles):
            row, column = divmod(start + t, across)
            image, row = divmod(row, down)
            row, column = row * outputs, column * outputs
            corner = image * dy_image + row * dy_row + column * dy_pixel
            within = height - row, width - column
            whole = within[0] >= outputs and within[1] >= outputs
            for o in range(0, filters, WIDTH):
                to = Planes(d, t * d_row + o, d_plane)
                if whole and o + WIDTH <= filters:
                    if outputs == 4:
                        _spread_four(dys, corner + o, s, to)
                    else:
                        _spread_two(dys, corner + o, s, to)
                else:
                    _tile_over(dys, corner + o, within, min(WIDTH, filters - o), outputs, s)
                    if outputs == 4:
                        _spread_four(copies, tile_copy, s, to)
                    else:
                        _spread_two(copies, tile_copy, s, to)
            row, column = row - top, column - left
            corner = image * x_image + row * x_row + column * x_pixel
            inside = row >= 0 and column >= 0
            inside = inside and row + POINTS <= in_height and column + POINTS <= in_width
            for c in range(0, channels, WIDTH):
                to = Planes(v, t * v_row + c, v_plane)
                if inside and c + WIDTH <= channels:
                    patch_inside(xs, corner + c, s, to)
                else:
                    place = row, column, in_height, in_width
                    patch_over(xs, corner + c, place, min(WIDTH, channels - c), s, to)
        for e in range(PRODUCTS):
            a, b, z = e * v_plane, e * d_plane, e * total_plane
            _multiply(
                *(v, a, v_row, d, b, d_row, tiles, total, z, total_row),
                *(channels, filters, start > 0),
            )
        if is_given(db):
            for o in range(0, filters, WIDTH):
                some = min(WIDTH, filters - o)
                values = zero() if start == 0 else load_part(db, o, some)
                sums = zero()
                for t in range(tiles):
                    sums = sums + load(d, _SUM * d_plane + t * d_row + o)
                store_part(db, o, values + sums, some)
        start += tiles
    for c in range(channels):
        for o in range(0, filters, WIDTH):
            first, at = c * total_row + o, c * channel + o
            if outputs == 4:
                _three(total, first, total_plane, s, dw, at, tap, filters - o)
            else:
                _five(total, first, total_plane, s, dw, at, tap, filters - o)
