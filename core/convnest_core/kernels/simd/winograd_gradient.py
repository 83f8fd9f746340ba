"""The gradient of a convolution's weights by Winograd's algorithm."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .native import Native
from .winograd import (
    PRODUCTS,
    apart,
    blocks_of,
    cpu,
    distances,
    outputs,
    pixels,
    some_filters,
    tiles_of,
)

_gradient = Native("winograd_gradient", "winograd_gradient")

# Tiles that are summed up at once, by the most channels or filters: the more of them there are, the
# more it costs to read and write their products again.
_TOGETHER = ((16, 28), (128, 56))
_MOST_TOGETHER = 224


def weight_gradient(
    x: Array, dy: Array, *, kernel: int, padding: Pair, bias: bool
) -> tuple[Array, Array | None]:
    """dw [k, k, C, O] and, with `bias`, db [O] for x [N, H, W, C], dy [N, H', W', O], stride 1."""
    x, dy = pixels(x), pixels(dy)
    n, height, width, filters = dy.shape
    channels = x.shape[3]
    tiles = n * tiles_of((height, width), kernel)
    dw = np.zeros((kernel, kernel, channels, filters), x.dtype)
    db = np.zeros(filters, x.dtype) if bias else None
    if not tiles:
        return dw, db
    widest = max(channels, filters)
    most = next((most for limit, most in _TOGETHER if widest <= limit), _MOST_TOGETHER)
    together = min(most, tiles)
    v_row = apart(channels + cpu().pixels)
    v_plane = apart(together * v_row + cpu().pixels)
    for some in some_filters(filters, channels):
        many = some.stop - some.start
        row = apart(blocks_of(many) * cpu().block)
        d_plane, total_plane = apart(together * row), apart((channels + cpu().pixels) * row)
        _gradient(
            x,
            dy[..., some],
            dw[..., some],
            None if db is None else db[some],
            scratch("winograd.patches", (PRODUCTS * v_plane,), x.dtype),
            scratch("winograd.products", (PRODUCTS * d_plane,), x.dtype),
            scratch("winograd.weights", (PRODUCTS * total_plane,), x.dtype),
            scratch("winograd.patch_and_tile", ((PRODUCTS + 16) * cpu().width,), x.dtype),
            *distances(x),
            *distances(dy),
            *x.shape[1:],
            height,
            width,
            many,
            outputs(kernel),
            *padding,
            tiles,
            together,
            v_row,
            v_plane,
            row,
            d_plane,
            row,
            total_plane,
            channels * filters,
            filters,
        )
    return dw, db
