"""The arithmetic of windows that slide over an image, for convolution and pooling alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convnest_core.arrays import Array, Pair, Shape


def slid(
    size: Pair,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> Pair:
    """How many windows fit: ⌊(size + 2·padding - reach) / stride⌋ + 1 in each direction.

    A window reaches over dilation·(kernel - 1) + 1 places. With `ceil` a last window may hang over
    the far edge, as long as it starts within the image or its near padding (PyTorch's rule). Not
    positive where the kernel does not fit.
    """
    height, width = (
        _along(n, d * (k - 1) + 1, stride=s, padding=p, ceil=ceil)
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return height, width


def _along(size: int, reach: int, *, stride: int, padding: int, ceil: bool) -> int:
    room = size + 2 * padding - reach
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def overhang(size: Pair, count: Pair, *, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """How far the last of `count` windows reaches beyond the image and its padding."""
    down, right = (
        max(0, (m - 1) * s + k - n - 2 * p)
        for n, m, k, s, p in zip(size, count, kernel, stride, padding, strict=True)
    )
    return down, right


def padded(x: Array, padding: Pair, *, value: float = 0.0, beyond: Pair = (0, 0)) -> Array:
    """x [N, H, W, C] with `padding` rows and columns of `value` on each side (x itself if none).

    `beyond` more of them are put below and to the right.
    """
    top, left = padding
    if not (top or left or any(beyond)):
        return x
    n, h, w, c = x.shape
    out = np.full((n, h + 2 * top + beyond[0], w + 2 * left + beyond[1], c), value, x.dtype)
    out[:, top : top + h, left : left + w] = x
    return out


def inside(x: Array, size: Pair, padding: Pair) -> Array:
    """The image of `size` within `padded`'s result, as a view."""
    top, left = padding
    return x[:, top : top + size[0], left : left + size[1]]


def tap(offset: int, count: int, stride: int) -> slice:
    """The `count` places that one tap of a sliding window visits along an axis."""
    return slice(offset, offset + (count - 1) * stride + 1, stride)


def image_tiles(shape: Shape, itemsize: int, tile_bytes: int) -> Iterator[slice]:
    """Slices of a batch of `shape` [N, ...], of as many images as fit into `tile_bytes`."""
    n, *rest = shape
    image_bytes = itemsize
    for length in rest:
        image_bytes *= length
    step = max(1, tile_bytes // image_bytes)
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))
