"""The gradient of a convolution's weights and bias by the direct kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from convnest_core.arrays import Array, Pair
from convnest_core.kernels.scratch import scratch

from .direct import distances, found_machine, groups_of, with_whole_pixels
from .native import Native

_BAND_PIXELS = 288  # of dy, packed for one block: about a common L1 cache

_wide = Native("direct_weights", "direct_weights")
_narrow = Native("direct_weights", "direct_weights_narrow")


class _Windows(NamedTuple):
    stride: Pair
    padding: Pair


def weight_gradient(
    x: Array,
    w: Array,
    dy: Array,
    *,
    stride: Pair,
    padding: Pair,
    groups: int = 1,
    bias: bool,
) -> tuple[Array, Array | None]:
    """dw, and db where `bias` asks for it; without dilation."""
    dw, db = np.empty(w.shape, dy.dtype), np.empty(w.shape[3], dy.dtype)
    windows = _Windows(stride, padding)
    for inputs, outputs in groups_of(w, groups):
        _summed(
            with_whole_pixels(x[..., inputs]),
            with_whole_pixels(dy[..., outputs]),
            windows,
            dw[..., outputs],
            db[outputs],
        )
    return dw, db if bias else None


def _summed(x: Array, dy: Array, windows: _Windows, dw: Array, db: Array) -> None:
    """Whole blocks of filters, and a last one of few."""
    machine = found_machine()
    filters = dy.shape[3]
    whole = filters - filters % machine.block
    if filters - whole > machine.width:
        whole = filters
    parts = (
        (_wide, machine.block, slice(0, whole)),
        (_narrow, machine.width, slice(whole, filters)),
    )
    for native, lanes, some in parts:
        if some.start < some.stop:
            _part(native, lanes, x, dy[..., some], windows, dw[..., some], db[some])


def _part(
    native: Native, lanes: int, x: Array, dy: Array, windows: _Windows, dw: Array, db: Array
) -> None:
    (kh, kw, channels, filters), (sy, sx) = dw.shape, windows.stride
    images, rows, columns, _ = dy.shape
    blocks = -(-filters // lanes)
    together = max(1, min(images, _BAND_PIXELS // (rows * columns)))
    band = rows if together > 1 else max(1, min(rows, _BAND_PIXELS // columns))
    reach = (band - 1) * sy + kh, (columns - 1) * sx + kw
    sums = np.zeros((blocks, kh * kw * channels, lanes), dw.dtype)
    column_sums = np.zeros(blocks * lanes, dw.dtype)
    native(
        x,
        dy,
        sums,
        column_sums,
        scratch("direct", (together * reach[0] * reach[1] * channels,), x.dtype),
        scratch("packed", (together * band * columns * lanes,), x.dtype),
        *(images, together, band, channels, filters),
        *(x.shape[1], x.shape[2], *distances(x)),
        *(rows, columns, *distances(dy)),
        *(kh, kw, sy, sx, *windows.padding),
    )
    dw[...] = sums.transpose(1, 0, 2).reshape(*dw.shape[:3], -1)[..., :filters]
    db[...] = column_sums[:filters]
