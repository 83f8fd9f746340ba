"""Convolution and pooling as the course writes them: one image, channels first, loops that read.

The fast kernels are tested against these forms. With x [C, H, W] and O filters w [O, C, kh, kw]:

    X_col  [C·kh·kw, H'·W']   one column for each place the window stops at
    W_row  [O, C·kh·kw]       one row for each filter
    Y = W_row · X_col + b     [O, H'·W']

and for the gradient dY of the output:

    dW_row = dY · X_colᵀ      db = Σ dY over places      dX_col = W_rowᵀ · dY

where dX_col's columns are laid back over the image, and added up where windows overlap. For
AlexNet's first layer (227×227×3, 96 filters 11×11, stride 4), X_col is [363×3025] and W_row is
[96×363].
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .arrays import Array, Pair


def places(size: Pair, *, kernel: Pair, stride: int) -> Iterator[tuple[int, int, slice, slice]]:
    """Where the window stops: output row and column, and the rows and columns of x it covers."""
    for i in range((size[0] - kernel[0]) // stride + 1):
        for j in range((size[1] - kernel[1]) // stride + 1):
            top, left = i * stride, j * stride
            yield i, j, slice(top, top + kernel[0]), slice(left, left + kernel[1])


def pad(x: Array, padding: int, value: float = 0.0) -> Array:
    """x [C, H, W] with `padding` rows and columns of `value` all around."""
    edge = (padding, padding)
    return np.pad(x, ((0, 0), edge, edge), constant_values=value)


def im2col(x: Array, *, kernel: Pair, stride: int) -> Array:
    """X_col of a padded image."""
    size = x.shape[1], x.shape[2]
    windows = [x[:, r, c].ravel() for _, _, r, c in places(size, kernel=kernel, stride=stride)]
    return np.stack(windows, axis=1)


def overlay(x_col: Array, like: Array, *, kernel: Pair, stride: int) -> Array:
    """The columns of dX_col laid back over an image shaped as `like`, overlaps added up."""
    dx = np.zeros_like(like)
    size = like.shape[1], like.shape[2]
    for column, (_, _, r, c) in enumerate(places(size, kernel=kernel, stride=stride)):
        dx[:, r, c] += x_col[:, column].reshape(like.shape[0], *kernel)
    return dx


def convolve(x: Array, w: Array, b: Array, *, stride: int, padding: int) -> Array:
    """Y = W_row · X_col + b, as an image [O, H', W']."""
    kernel = w.shape[2], w.shape[3]
    x = pad(x, padding)
    y = w.reshape(len(w), -1) @ im2col(x, kernel=kernel, stride=stride) + b[:, None]
    height = (x.shape[1] - kernel[0]) // stride + 1
    return np.reshape(y, (len(w), height, -1))


def convolve_backward(
    x: Array, w: Array, dy: Array, *, stride: int, padding: int
) -> tuple[Array, Array, Array]:
    """dx, dw, db by the three products above."""
    kernel = w.shape[2], w.shape[3]
    padded = pad(x, padding)
    dy_row = dy.reshape(len(w), -1)
    dw = dy_row @ im2col(padded, kernel=kernel, stride=stride).T
    dx_col = w.reshape(len(w), -1).T @ dy_row
    dx = overlay(dx_col, padded, kernel=kernel, stride=stride)
    return _inside(dx, padding), dw.reshape(w.shape), dy_row.sum(axis=1)


def convolve_backward_by_pixel(
    x: Array, w: Array, dy: Array, *, stride: int, padding: int
) -> tuple[Array, Array, Array]:
    """dx, dw, db by the chain rule at each output value, which is a dot product of a window and w.

    dw += dy[o, i, j] · window, d(window) += dy[o, i, j] · w[o].
    """
    kernel = w.shape[2], w.shape[3]
    padded = pad(x, padding)
    dx, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros(len(w), w.dtype)
    size = padded.shape[1], padded.shape[2]
    for i, j, r, c in places(size, kernel=kernel, stride=stride):
        for o in range(len(w)):
            dw[o] += dy[o, i, j] * padded[:, r, c]
            dx[:, r, c] += dy[o, i, j] * w[o]
            db[o] += dy[o, i, j]
    return _inside(dx, padding), dw, db


def max_pool(x: Array, *, size: Pair, stride: int, padding: int) -> Array:
    """The largest value of each window, channel by channel."""
    x = pad(x, padding, -np.inf)
    windows = places((x.shape[1], x.shape[2]), kernel=size, stride=stride)
    y = [x[:, r, c].max(axis=(1, 2)) for _, _, r, c in windows]
    return _image(y, (x.shape[1] - size[0]) // stride + 1)


def max_pool_backward(x: Array, dy: Array, *, size: Pair, stride: int, padding: int) -> Array:
    """The gradient goes to the place of each window's largest value."""
    x = pad(x, padding, -np.inf)
    dx = np.zeros_like(x)
    for i, j, r, c in places((x.shape[1], x.shape[2]), kernel=size, stride=stride):
        for channel, window in enumerate(x[:, r, c]):
            largest = np.unravel_index(window.argmax(), window.shape)
            dx[channel, r, c][largest] += dy[channel, i, j]
    return _inside(dx, padding)


def average_pool(x: Array, *, size: Pair, stride: int, padding: int) -> Array:
    """The mean of each window, channel by channel; padding counts as zeros."""
    x = pad(x, padding)
    windows = places((x.shape[1], x.shape[2]), kernel=size, stride=stride)
    y = [x[:, r, c].mean(axis=(1, 2)) for _, _, r, c in windows]
    return _image(y, (x.shape[1] - size[0]) // stride + 1)


def average_pool_backward(x: Array, dy: Array, *, size: Pair, stride: int, padding: int) -> Array:
    """The gradient is shared equally by each window's places."""
    dx = np.zeros_like(pad(x, padding))
    for i, j, r, c in places((dx.shape[1], dx.shape[2]), kernel=size, stride=stride):
        dx[:, r, c] += dy[:, i, j, None, None] / (size[0] * size[1])
    return _inside(dx, padding)


def _image(columns: list[Array], height: int) -> Array:
    stacked = np.stack(columns, axis=1)
    return np.reshape(stacked, (len(stacked), height, -1))


def _inside(x: Array, padding: int) -> Array:
    return x[:, padding : x.shape[1] - padding, padding : x.shape[2] - padding]
