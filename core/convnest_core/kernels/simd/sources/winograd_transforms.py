"""Winograd's transforms, on vectors of channels (Lavin, Gray, "Fast Algorithms for CNNs", 2016).

In one dimension, a filter g of r values over m + r - 1 = 6 values d gives m outputs

    y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]

with 6 multiplications for m·r. It is a product of polynomials: Aᵀ's transpose and G (but for the
scales) evaluate at the points 0, 1, -1, 2, -2, ∞, and Bᵀ undoes both. So every transform here is
one of three: `evaluated` (G without its scales, or A), its transpose `gathered` (Aᵀ, or Gᵀ without
scales), and `differences` (Bᵀ). In two dimensions each is applied to columns, then to rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    WIDTH,
    fused,
    group,
    load,
    load_part,
    part,
    splat,
)

POINTS = 6
PRODUCTS = POINTS * POINTS
six = group(POINTS)


class Image(NamedTuple):
    """Pixels in memory, and how far apart they lie; channels of a pixel lie side by side."""

    data: Any  # a span
    row: int
    pixel: int


class Planes(NamedTuple):
    """The 36 values of a patch in memory, `apart` from each other."""

    data: Any  # a span
    first: int
    apart: int


@part
def differences(d0, d1, d2, d3, d4, d5):
    """Bᵀ d."""
    two, four, less_four, less_five = splat(2.0), splat(4.0), splat(-4.0), splat(-5.0)
    even, odd = fused(less_four, d2, d4), fused(less_four, d1, d3)
    further, doubled = d4 - d2, two * (d3 - d1)
    return (
        fused(four, d0, fused(less_five, d2, d4)),
        even + odd,
        even - odd,
        further + doubled,
        further - doubled,
        fused(four, d1, fused(less_five, d3, d5)),
    )


def evaluated(count: int) -> Any:
    """The polynomial with `count` coefficients from `index` on, at the six points."""

    @part
    def values(c, index, apart):
        two, four = splat(2.0), splat(4.0)
        first, last = load(c, index), load(c, index + (count - 1) * apart)
        even, odd = first, load(c, index + apart)
        even_far, odd_far = even, odd
        if count > 2:
            c2 = load(c, index + 2 * apart)
            even, even_far = even + c2, fused(four, c2, even_far)
        if count > 3:
            c3 = load(c, index + 3 * apart)
            odd, odd_far = odd + c3, fused(four, c3, odd_far)
        if count > 4:
            even, even_far = even + last, fused(four * four, last, even_far)
        odd_far = two * odd_far
        return first, even + odd, even - odd, even_far + odd_far, even_far - odd_far, last

    return values


@part
def scaled(values):
    """With the scales of G: 1 / Π (p - q) over the other points q."""
    third, fourth = splat(-1.0 / 6.0), splat(1.0 / 24.0)
    return (
        splat(0.25) * values[0],
        third * values[1],
        third * values[2],
        fourth * values[3],
        fourth * values[4],
        values[5],
    )


def gathered(count: int) -> Any:
    """The transpose of `evaluated`: coefficient j is the sum of pʲ · m over the points p."""

    @part
    def coefficients(m0, m1, m2, m3, m4, m5):
        two, four = splat(2.0), splat(4.0)
        near, near_odd, far, far_odd = m1 + m2, m1 - m2, m3 + m4, two * (m3 - m4)
        c0, c1 = m0 + near + far, near_odd + far_odd
        c2, c3 = fused(four, far, near), fused(four, far_odd, near_odd)
        c4 = fused(four * four, far, near)
        if count == 2:
            c1 = c1 + m5
        elif count == 3:
            c2 = c2 + m5
        elif count == 4:
            c3 = c3 + m5
        else:
            c4 = c4 + m5
        return c0, c1, c2, c3, c4

    return coefficients


ROW = POINTS * WIDTH  # of the scratch memory between the two dimensions, which lies in L1


@part
def _rows_of_differences(s, v):
    for i in range(POINTS):
        at = i * ROW
        values = differences(*six.read(s, at, WIDTH))
        six.write(v.data, v.first + i * POINTS * v.apart, v.apart, values)


@part
def patch_inside(x, corner, s, v):
    """Bᵀ d B of the patch at `corner` that lies within the image, WIDTH channels."""
    for j in range(POINTS):
        at = corner + j * x.pixel
        values = differences(*six.read(x.data, at, x.row))
        six.write(s, j * WIDTH, ROW, values)
    _rows_of_differences(s, v)


@part
def _place(x, corner, i, top, height, channels):
    """Channels to load from row i of a patch: none outside the image."""
    row = top + i
    inside = row >= 0 and row < height
    return load_part(x.data, corner + i * x.row, channels if inside else 0)


@part
def patch_over(x, corner, within, channels, s, v):
    """The same for a patch that leaves the image, or with fewer channels: zeros stand there."""
    top, left, height, width = within
    for j in range(POINTS):
        column = left + j
        some = channels if column >= 0 and column < width else 0
        at = corner + j * x.pixel
        values = differences(
            _place(x, at, 0, top, height, some),
            _place(x, at, 1, top, height, some),
            _place(x, at, 2, top, height, some),
            _place(x, at, 3, top, height, some),
            _place(x, at, 4, top, height, some),
            _place(x, at, 5, top, height, some),
        )
        six.write(s, j * WIDTH, ROW, values)
    _rows_of_differences(s, v)
