"""The arithmetic of windows that slide over an image, for convolution and pooling alike."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array, Pair


def slid(size: Pair, *, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """How many windows fit: ⌊(size + 2·padding - kernel) / stride⌋ + 1 in each direction.

    Not positive where the kernel does not fit.
    """
    height, width = (
        (n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
    )
    return height, width


def padded(x: Array, padding: Pair, *, value: float = 0.0) -> Array:
    """x [N, H, W, C] with `padding` rows and columns of `value` on each side (x itself if none)."""
    top, left = padding
    if not top and not left:
        return x
    n, h, w, c = x.shape
    out = np.full((n, h + 2 * top, w + 2 * left, c), value, x.dtype)
    out[:, top : top + h, left : left + w] = x
    return out


def unpadded(x: Array, padding: Pair) -> Array:
    """The inside of `padded`'s result, as a view."""
    top, left = padding
    return x[:, top : x.shape[1] - top, left : x.shape[2] - left]


def tap(offset: int, count: int, stride: int) -> slice:
    """The `count` places that one tap of a sliding window visits along an axis."""
    return slice(offset, offset + (count - 1) * stride + 1, stride)
