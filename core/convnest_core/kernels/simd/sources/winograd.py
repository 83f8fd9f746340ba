"""Y = activation(X * W + b + R) by Winograd's algorithm, in one pass over blocks of tiles.

A tile is m×m outputs and the 6×6 patch they come from. For a block of tiles the patches are
transformed to V [36, tiles, channels], multiplied with the transformed weights plane by plane to
M [36, tiles, filters], and transformed to outputs, all within the cache.
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
    rectified,
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
    gathered,
    patch_inside,
    patch_over,
    six,
)


def _rows(pixels: int, vectors: int) -> Any:
    """One plane's product of `pixels` tiles with `vectors` vectors of filters."""
    acc = tile(pixels, vectors)

    @part
    def rows(v, v0, v_row, w, w0, depth, m, m0, m_row):
        sums = acc.zero()
        for i in range(depth):
            sums = acc.grow(sums, v, v0 + i, v_row, w, w0 + i * BLOCK)
        acc.store(sums, m, m0, m_row)

    return rows


_FEW = 4
_many, _few = _rows(PIXELS, VECTORS), _rows(_FEW, VECTORS)
_many_narrow = _rows(PIXELS, 1)


@part
def _multiply(v, v0, v_row, w, w0, depth, m, m0, m_row, tiles, filters):
    """M [tiles, filters] = V [tiles, depth] · W [blocks, depth, BLOCK], `tiles` rounded up."""
    for c in range(0, filters, BLOCK):
        narrow = filters - c <= WIDTH
        row = 0
        while row < tiles:
            many = row + PIXELS - _FEW < tiles
            a, z = v0 + row * v_row, m0 + row * m_row + c
            if many and narrow:
                _many_narrow(v, a, v_row, w, w0 + c * depth, depth, m, z, m_row)
            elif many:
                _many(v, a, v_row, w, w0 + c * depth, depth, m, z, m_row)
            else:
                _few(v, a, v_row, w, w0 + c * depth, depth, m, z, m_row)
            row += PIXELS if many else _FEW


def _outputs(m: int) -> Any:
    """m×m outputs of WIDTH filters from their 36 products."""
    coefficients = gathered(m)

    @part
    def finish(value, bias, r, r0, y, y0, wanted, filters, relu):
        """One output, if it lies within the image."""
        if wanted:
            value = value + bias
            if is_given(r):
                value = value + (load(r, r0) if filters >= WIDTH else load_part(r, r0, filters))
            if relu:
                value = rectified(value)
            if filters >= WIDTH:
                store(y, y0, value)
            else:
                store_part(y, y0, value, filters)

    @part
    def outputs(products, s, bias, r, r0, y, y0, inside, filters, relu):
        data, first, apart = products
        for j in range(POINTS):
            at = first + j * apart
            down = POINTS * apart
            values = coefficients(*six.read(data, at, down))
            store(s, j * WIDTH, values[0])
            store(s, j * WIDTH + ROW, values[1])
            if m > 2:
                store(s, j * WIDTH + 2 * ROW, values[2])
                store(s, j * WIDTH + 3 * ROW, values[3])
        height, width = inside
        for i in range(min(m, height)):
            at = i * ROW
            values = coefficients(*six.read(s, at, WIDTH))
            a, z = r0 + i * r.row, y0 + i * y.row
            finish(values[0], bias, r.data, a, y.data, z, True, filters, relu)
            a, z = a + r.pixel, z + y.pixel
            finish(values[1], bias, r.data, a, y.data, z, width > 1, filters, relu)
            if m > 2:
                a, z = a + r.pixel, z + y.pixel
                finish(values[2], bias, r.data, a, y.data, z, width > 2, filters, relu)
                a, z = a + r.pixel, z + y.pixel
                finish(values[3], bias, r.data, a, y.data, z, width > 3, filters, relu)

    return outputs


_four, _two = _outputs(4), _outputs(2)


def winograd(
    x: Floats,
    w: Floats,
    b: Floats,
    r: Floats,
    y: FloatsOut,
    v: FloatsOut,
    m: FloatsOut,
    s: FloatsOut,
    x_image: int,
    x_row: int,
    x_pixel: int,
    r_image: int,
    r_row: int,
    r_pixel: int,
    y_image: int,
    y_row: int,
    y_pixel: int,
    in_height: int,
    in_width: int,
    channels: int,
    height: int,
    width: int,
    filters: int,
    outputs: int,
    top: int,
    left: int,
    begin: int,
    end: int,
    together: int,
    v_row: int,
    v_plane: int,
    m_row: int,
    m_plane: int,
    w_plane: int,
    relu: int,
) -> None:
    """Tiles begin … end of y [N, height, width, filters], from x padded by `top` and `left`.

    `w` is [36, blocks of filters, channels, BLOCK]; v, m and s are scratch memory for `together`
    tiles and one patch.
    """
    down, across = -(-height // outputs), -(-width // outputs)
    xs, rs, ys = Image(x, x_row, x_pixel), Image(r, r_row, r_pixel), Image(y, y_row, y_pixel)
    start = begin
    while start < end:
        tiles = min(together, end - start)
        for t in range(tiles):
            row, column = divmod(start + t, across)
            image, row = divmod(row, down)
            row, column = row * outputs - top, column * outputs - left
            corner = image * x_image + row * x_row + column * x_pixel
            inside = row >= 0 and column >= 0
            inside = inside and row + POINTS <= in_height and column + POINTS <= in_width
            for c in range(0, channels, WIDTH):
                to = Planes(v, t * v_row + c, v_plane)
                if inside and c + WIDTH <= channels:
                    patch_inside(xs, corner + c, s, to)
                else:
                    within = row, column, in_height, in_width
                    patch_over(xs, corner + c, within, min(WIDTH, channels - c), s, to)
        for e in range(PRODUCTS):
            _multiply(
                v,
                e * v_plane,
                v_row,
                w,
                e * w_plane,
                channels,
                m,
                e * m_plane,
                m_row,
                tiles,
                filters,
            )
        for t in range(tiles):
            row, column = divmod(start + t, across)
            image, row = divmod(row, down)
            row, column = row * outputs, column * outputs
            y0 = image * y_image + row * y_row + column * y_pixel
            r0 = image * r_image + row * r_row + column * r_pixel
            within = height - row, width - column
            for c in range(0, filters, WIDTH):
                products = Planes(m, t * m_row + c, m_plane)
                some = filters - c
                bias = zero()
                if is_given(b):
                    bias = load(b, c) if some >= WIDTH else load_part(b, c, some)
                if outputs == 4:
                    _four(products, s, bias, rs, r0 + c, ys, y0 + c, within, some, relu)
                else:
                    _two(products, s, bias, rs, r0 + c, ys, y0 + c, within, some, relu)
        start += tiles
