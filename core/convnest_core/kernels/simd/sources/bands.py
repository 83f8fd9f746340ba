"""Rows of an image, copied with zeros around them: what windows that leave the image read."""

from __future__ import annotations

from typing import Any, NamedTuple

from convnest_core.kernels.simd.language import (
    WIDTH,
    load,
    load_part,
    part,
    store,
    store_part,
    zero,
)


class Grid(NamedTuple):
    """An image in memory: its first value, its distances, and how many rows and columns it has."""

    data: Any  # a span
    first: int
    row: int
    pixel: int
    height: int
    width: int


@part
def clear(out, first, count):
    """Zeros from `first` on."""
    end = first + count
    whole = end - count % WIDTH
    for i in range(first, whole, WIDTH):
        store(out, i, zero())
    store_part(out, whole, zero(), end - whole)


@part
def copy(out, first, x, source, count):
    """The `count` values of x from `source` on."""
    whole = count - count % WIDTH
    for i in range(0, whole, WIDTH):
        store(out, first + i, load(x, source + i))
    left = count - whole
    store_part(out, first + whole, load_part(x, source + whole, left), left)


@part
def fill(out, first, image, top, left, rows, columns, channels):
    """The rectangle of an image that begins at (top, left), to out [rows, columns, channels].

    Zeros stand for what lies outside the image; out begins at `first`.
    """
    before = min(max(0, -left), columns)
    inside = max(0, min(image.width - left, columns) - before)
    for i in range(rows):
        at = first + i * columns * channels
        if top + i < 0 or top + i >= image.height or inside == 0:
            clear(out, at, columns * channels)
            continue
        clear(out, at, before * channels)
        at += before * channels
        source = image.first + (top + i) * image.row + (left + before) * image.pixel
        if image.pixel == channels:
            copy(out, at, image.data, source, inside * channels)
        else:
            for j in range(inside):
                copy(out, at + j * channels, image.data, source + j * image.pixel, channels)
        clear(out, at + inside * channels, (columns - before - inside) * channels)
