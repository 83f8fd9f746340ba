"""Convolution without another algorithm: Σ over a window's taps, in register tiles over the image.

    y[i, j, o] = activation(Σ_t Σ_u Σ_c x[s·i + d·t - p, s·j + d·u - p, c] · w[t, u, c, o] + b + r)

A band of output rows is computed at a time: the rows of x under it are copied into `space` with
their padding (or read in place where there is none), then for each block of filters a register tile
of P pixels × Q vectors runs over the taps. In a row of x the taps of one t lie together, kw · C
values in a run, and the values of P neighbouring pixels lie s · C apart.

The input gradient is the same sum over dy with flipped, transposed weights. With a stride S only
every S-th tap of a window meets a given pixel of dx: its pixels fall into S × S phases, each of
them a convolution of stride 1 with its own taps a + S·t, whose results lie S apart in dx. A forward
convolution has one phase.

Source: Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
architectures", 2018; Shi et al., "Is the deconvolution layer the same as a convolutional layer?",
2016, for the phases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    BLOCK,
    PIXELS,
    VECTORS,
    WIDTH,
    Floats,
    FloatsOut,
    inlined,
    is_given,
    load,
    load_part,
    part,
    reading,
    rectified,
    store_part,
    tile,
)

from .bands import Grid, fill


class Taps(NamedTuple):
    """The windows of a tile: where the first one lies, and the distances in memory."""

    data: Any  # a span
    first: int
    pixel: int  # from a window to its right neighbour
    below: int  # … and to that of the next output row
    rows: int  # taps in height, and how far they lie apart
    row: int
    runs: int  # contiguous runs of taps in width, how far apart they begin, and their values
    step: int
    run: int


class Place(NamedTuple):
    """Where a tile's results go, or what is added to them lies."""

    data: Any
    first: int
    pixel: int
    below: int


class Ending(NamedTuple):
    """What follows the sum."""

    b: Any  # the bias, and where the block's begins
    first: int
    sums: Any  # room for a tile's sums
    channels: int  # the block's, which may be fewer than its lanes
    rectified: int


@part
def _finish_part(sums, pixels, lanes, ending, r, y):
    """What follows a tile's sums [pixels, lanes] that are in memory: the rarer cases."""
    for p in range(pixels):
        for o in range(0, min(lanes, ending.channels), WIDTH):
            count = min(WIDTH, ending.channels - o)
            value = load(reading(sums), p * lanes + o)
            if is_given(r.data):
                value = value + load_part(r.data, r.first + p * r.pixel + o, count)
            if ending.rectified:
                value = rectified(value)
            store_part(y.data, y.first + p * y.pixel + o, value, count)


def _finish(pixels: int, vectors: int) -> Any:
    """Bias, residual, activation, and the result to memory."""
    acc = tile(pixels, vectors)
    lanes = vectors * WIDTH

    @inlined
    def finish(sums, ending, r, y):
        if is_given(ending.b):
            sums = acc.add_vector(sums, ending.b, ending.first)
        if is_given(r.data) or ending.channels < lanes:
            acc.store(sums, ending.sums, 0, lanes)
            _finish_part(ending.sums, pixels, lanes, ending, r, y)
        else:
            if ending.rectified:
                sums = acc.rectify(sums)
            acc.store(sums, y.data, y.first, y.pixel)

    return finish


def _row(pixels: int, vectors: int) -> Any:
    """A tile of neighbouring pixels of one row."""
    acc, finish = tile(pixels, vectors), _finish(pixels, vectors)
    lanes = vectors * WIDTH

    @part
    def row(x, w, w0, ending, r, y):
        sums = acc.zero()
        for t in range(x.rows):
            for u in range(x.runs):
                first = x.first + t * x.row + u * x.step
                for i in range(x.run):
                    sums = acc.grow(sums, x.data, first + i, x.pixel, w, w0)
                    w0 += lanes
        finish(sums, ending, r, y)

    return row


def _pair(pixels: int, vectors: int) -> Any:
    """A tile of neighbouring pixels of two rows, half of them in each."""
    acc, finish = tile(pixels, vectors), _finish(pixels // 2, vectors)
    lanes = vectors * WIDTH

    @part
    def pair(x, w, w0, ending, r, y):
        sums = acc.zero()
        for t in range(x.rows):
            for u in range(x.runs):
                first = x.first + t * x.row + u * x.step
                for i in range(x.run):
                    sums = acc.grow_twice(sums, x.data, first + i, x.below, x.pixel, w, w0)
                    w0 += lanes
        upper, lower = acc.halves(sums)
        finish(upper, ending, r, y)
        below_r = Place(r.data, r.first + r.below, r.pixel, r.below)
        below_y = Place(y.data, y.first + y.below, y.pixel, y.below)
        finish(lower, ending, below_r, below_y)

    return pair


@inlined
def _moved(place, pixels):
    """The same, so many pixels further right."""
    return Place(place.data, place.first + pixels * place.pixel, place.pixel, place.below)


@inlined
def _windows(x, pixels):
    first = x.first + pixels * x.pixel
    return Taps(x.data, first, x.pixel, x.below, x.rows, x.row, x.runs, x.step, x.run)


class _Sizes(NamedTuple):
    """Pixels of the tiles that a row is cut into, the largest first."""

    large: int
    middle: int
    small: int


def _cover(make: Any, sizes: _Sizes, *, pair: Any = None) -> Any:
    """A loop over rows of windows, cut into tiles.

    A rest of half a `pair`, whose weights are too many to be read for each row, goes in pairs.
    """
    large, middle, small, one = (make(pixels) for pixels in (*sizes, 1))
    LARGE, MIDDLE, SMALL = sizes
    HALF = PIXELS // 2 if pair else 0
    pair = pair or one  # named below, though no rest is of no pixels

    @inlined
    def cover(x, w, w0, ending, r, y, rows, columns):
        for i in range(rows):
            xs = Taps(
                *(x.data, x.first + i * x.below, x.pixel, x.below),
                *(x.rows, x.row, x.runs, x.step, x.run),
            )
            rs = Place(r.data, r.first + i * r.below, r.pixel, r.below)
            ys = Place(y.data, y.first + i * y.below, y.pixel, y.below)
            in_pairs = i % 2 == 1 or i + 1 < rows
            left = columns
            while left > 0:
                if left >= LARGE and left != 2 * MIDDLE:
                    large(xs, w, w0, ending, rs, ys)
                    done = LARGE
                elif left == HALF and in_pairs:
                    if i % 2 == 0:
                        pair(xs, w, w0, ending, rs, ys)
                    done = HALF
                elif left >= MIDDLE:
                    middle(xs, w, w0, ending, rs, ys)
                    done = MIDDLE
                elif left >= SMALL:
                    small(xs, w, w0, ending, rs, ys)
                    done = SMALL
                else:
                    one(xs, w, w0, ending, rs, ys)
                    done = 1
                left -= done
                xs, rs, ys = _windows(xs, done), _moved(rs, done), _moved(ys, done)

    return cover


def _wide(pixels: int) -> Any:
    return _row(pixels, VECTORS)


def _narrow(pixels: int) -> Any:
    return _row(pixels, 1)


_WIDE = _Sizes(PIXELS, PIXELS // 2 + 1, PIXELS // 4 + 1)
_NARROW = _Sizes(PIXELS + 2, PIXELS // 2 + 1, PIXELS // 4 + 1)


def _kernel(cover: Any, lanes: int) -> Any:
    """The kernel over bands, blocks of filters and phases, for tiles of so many lanes."""

    def direct(
        x: Floats,
        space: FloatsOut,
        sums: FloatsOut,
        w: Floats,
        b: Floats,
        r: Floats,
        y: FloatsOut,
        first: int,
        last: int,
        band: int,
        channels: int,
        filters: int,
        height: int,
        width: int,
        x_image: int,
        x_row: int,
        x_pixel: int,
        tall: int,
        wide: int,
        y_image: int,
        y_row: int,
        y_pixel: int,
        r_image: int,
        r_row: int,
        r_pixel: int,
        kernel_rows: int,
        kernel_columns: int,
        stride_y: int,
        stride_x: int,
        dilation_y: int,
        dilation_x: int,
        above: int,
        before: int,
        phases_y: int,
        phases_x: int,
        cut_y: int,
        cut_x: int,
        rectify: int,
    ) -> None:
        """Rows `first` … `last` of all images' windows, in bands; w is packed by block and phase.

        Window (i, j) begins `above` rows and `before` columns outside x at (0, 0). Phase (a, b) of
        it gives y[phases_y · i + a - cut_y, phases_x · j + b - cut_x].
        """
        row0, column0 = cut_y // phases_y, cut_x // phases_x
        rows = (tall - 1 + cut_y) // phases_y + 1 - row0
        columns = (wide - 1 + cut_x) // phases_x + 1 - column0
        taps_y, taps_x = -(-kernel_rows // phases_y), -(-kernel_columns // phases_x)
        across = (columns - 1) * stride_x + (taps_x - 1) * dilation_x + 1
        pixel = channels if is_given(space) else x_pixel
        line = across * channels if is_given(space) else x_row
        together = pixel == channels and dilation_x == 1
        begun = first
        while begun < last:
            image = begun // rows
            top = begun % rows + row0
            many = min(band, last - begun, row0 + rows - top)
            begun += many
            corner = top * stride_y - above, column0 * stride_x - before
            if is_given(space):
                reach = (many - 1) * stride_y + (taps_y - 1) * dilation_y + 1
                grid = Grid(x, image * x_image, x_row, x_pixel, height, width)
                fill(space, 0, grid, corner[0], corner[1], reach, across, channels)
                source, origin = reading(space), 0
            else:
                source, origin = x, image * x_image + corner[0] * x_row + corner[1] * x_pixel
            for c in range(0, filters, lanes):
                w0 = c * kernel_rows * kernel_columns * channels
                ending = Ending(b, c, sums, filters - c, rectify)
                for phase_y in range(phases_y):
                    own_y = (kernel_rows - phase_y + phases_y - 1) // phases_y
                    i0 = max(top, (cut_y - phase_y + phases_y - 1) // phases_y)
                    i1 = min(top + many, (tall - 1 + cut_y - phase_y) // phases_y + 1)
                    i = phases_y * i0 + phase_y - cut_y
                    at_y = (i0 - top) * stride_y + taps_y - own_y
                    for phase_x in range(phases_x):
                        own_x = (kernel_columns - phase_x + phases_x - 1) // phases_x
                        j0 = max(column0, (cut_x - phase_x + phases_x - 1) // phases_x)
                        j1 = (wide - 1 + cut_x - phase_x) // phases_x + 1
                        j = phases_x * j0 + phase_x - cut_x
                        at_x = (j0 - column0) * stride_x + taps_x - own_x
                        windows = Taps(
                            source,
                            origin + at_y * line + at_x * pixel,
                            stride_x * pixel,
                            stride_y * line,
                            own_y,
                            dilation_y * line,
                            1 if together else own_x,
                            dilation_x * pixel,
                            own_x * channels if together else channels,
                        )
                        added = Place(
                            r,
                            image * r_image + i * r_row + j * r_pixel + c,
                            phases_x * r_pixel,
                            phases_y * r_row,
                        )
                        to = Place(
                            y,
                            image * y_image + i * y_row + j * y_pixel + c,
                            phases_x * y_pixel,
                            phases_y * y_row,
                        )
                        cover(windows, w, w0, ending, added, to, i1 - i0, j1 - j0)
                        w0 += own_y * own_x * channels * lanes

    return direct


#: Blocks of VECTORS · WIDTH filters.
direct = _kernel(_cover(_wide, _WIDE, pair=_pair(PIXELS, VECTORS)), BLOCK)
#: At most WIDTH filters.
direct_narrow = _kernel(_cover(_narrow, _NARROW), WIDTH)
