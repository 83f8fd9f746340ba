"""What every set of kernels can do, and the way to the set that does it."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Pair

from . import plain
from .affine import Affine
from .choice import kernel_set


class Gradients(NamedTuple):
    """What `convolve_backward` returns; None for what was not asked for."""

    dx: Array | None
    dw: Array | None
    db: Array | None


def _set(x: Array) -> Any:  # a module with these functions
    if x.dtype == np.float32 and kernel_set() == "simd":
        return importlib.import_module("convnest_core.kernels.simd.functions")
    return plain


def convolve(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    rectify: bool = False,
) -> Array:
    """Cross-correlate x [N, H, W, C] with w [kh, kw, C/groups, O] and add b [O]: y [N, H', W', O].

    A window's taps lie `dilation` places apart. With `rectify` it is max(y, 0).
    """
    y: Array = _set(x).convolve(
        x,
        w,
        b,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rectify=rectify,
    )
    return y


def convolve_backward(
    x: Array,
    w: Array,
    dy: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    bias: bool,
    input_gradient: bool,
    weight_gradient: bool = True,
) -> Gradients:
    """The gradients of `convolve` at x, w for dy [N, H', W', O]."""
    dx, dw, db = _set(x).convolve_backward(
        x,
        w,
        dy,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias,
        input_gradient=input_gradient,
        weight_gradient=weight_gradient,
    )
    return Gradients(dx, dw, db)


def max_pool(x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
    """The largest value of each window of x [N, H, W, C]: y [N, H', W', C]; padding never wins."""
    y: Array = _set(x).max_pool(x, kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    return y


def max_pool_places(
    x: Array, *, kernel: Pair, stride: Pair, padding: Pair, ceil: bool = False
) -> tuple[Array, object]:
    """`max_pool`, and what `max_pool_backward` needs to know of where the largest values were."""
    y, places = _set(x).max_pool_places(x, kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    return y, places


def max_pool_backward(
    dy: Array, places: object, size: Pair, *, kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """dx of `max_pool` for an input of `size` (height, width).

    Where several values of a window are its largest, exactly one of them receives the gradient.
    """
    dx: Array = _set(dy).max_pool_backward(
        dy, places, size, kernel=kernel, stride=stride, padding=padding
    )
    return dx


def average_pool(
    x: Array,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """The mean of each window of x [N, H, W, C]; padding is zero.

    With `count_padding` it counts as values of the window, but never what lies beyond it.
    """
    y: Array = _set(x).average_pool(
        x, kernel=kernel, stride=stride, padding=padding, ceil=ceil, count_padding=count_padding
    )
    return y


def average_pool_backward(
    dy: Array,
    size: Pair,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_padding: bool = True,
) -> Array:
    """dx of `average_pool` for an input of `size` (height, width)."""
    dx: Array = _set(dy).average_pool_backward(
        dy, size, kernel=kernel, stride=stride, padding=padding, count_padding=count_padding
    )
    return dx


def channel_moments(x: Array) -> npt.NDArray[np.float64]:
    """Σx and Σx² over all axes but the last: [2, C].

    They add up over parts of a batch, and Σx² - (Σx)²/n keeps the digits that x has.
    """
    sums: npt.NDArray[np.float64] = _set(x).channel_moments(x)
    return sums


def normalise(
    x: Array, by: Affine, *, residual: Array | None = None, rectify: bool = False
) -> Array:
    """y = x · scale + shift (+ residual), and max(y, 0) of it where `rectify`."""
    y: Array = _set(x).normalise(x, by, residual=residual, rectify=rectify)
    return y


def normalise_sums(
    dy: Array, x: Array, mean: Array, *, rectified: Affine | None = None
) -> npt.NDArray[np.float64]:
    """Σ g and Σ g · (x - mean) over all axes but the last: [2, C].

    g is dy, or behind ReLU dy where x · scale + shift of `rectified` is positive, else zero.
    """
    sums: npt.NDArray[np.float64] = _set(x).normalise_sums(dy, x, mean, rectified=rectified)
    return sums


def normalise_backward(
    dy: Array, x: Array, *, by: Affine, slope: Affine | None, rectified: bool
) -> Array:
    """dx = g · by.scale (+ x · slope.scale + slope.shift).

    g is dy, or where `rectified` what `normalise_sums` takes behind relu(x · scale + shift).
    """
    dx: Array = _set(x).normalise_backward(dy, x, by=by, slope=slope, rectified=rectified)
    return dx


def relu(x: Array) -> Array:
    """max(x, 0), value by value, for x [N, ...]."""
    y: Array = _set(x).relu(x)
    return y


def relu_backward(y: Array, dy: Array) -> Array:
    """dy where y = relu(x) is positive, else zero."""
    dx: Array = _set(dy).relu_backward(y, dy)
    return dx


def add(x: Array, y: Array, *, rectify: bool = False) -> Array:
    """x + y, and max(x + y, 0) where `rectify`."""
    total: Array = _set(x).add(x, y, rectify=rectify)
    return total


def response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    """y of x [..., C]; channel c sums over the channels c - ⌊n/2⌋ … c + ⌊(n-1)/2⌋ that exist."""
    y: Array = _set(x).response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
    return y


def response_norm_backward(
    x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float
) -> Array:
    """dx = dy · d⁻ᵝ - 2αβ/n · x · Σ dy · x · d⁻ᵝ⁻¹, summed over the channels that x went into."""
    dx: Array = _set(x).response_norm_backward(x, dy, size=size, alpha=alpha, beta=beta, k=k)
    return dx


def multiply(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    out: Array | None = None,
    rectify: bool = False,
) -> Array:
    """x [rows, depth] · w [depth, columns] + b [columns], fresh or written to `out`.

    With `rectify` it is max(y, 0).
    Both may lie transposed in memory: the gradients of Y = X · W are multiply(dY, W.T) and
    multiply(X.T, dY).
    """
    y: Array = _set(x).multiply(x, w, b, out=out, rectify=rectify)
    return y


def add_product(total: Array, x: Array, w: Array) -> None:
    """total += x · w, in place; both may lie transposed in memory."""
    _set(x).add_product(total, x, w)


def sgd(
    value: Array,
    gradient: Array,
    velocity: Array | None,
    *,
    rate: float,
    momentum: float,
    decay: float,
    nesterov: bool,
) -> None:
    """g = dL/dw + decay · w;  v ← momentum · v + g;  w ← w - rate · (v, or g + momentum · v).

    Of flat arrays; the value and its slots (here v) are moved in place, as by all optimizers.
    """
    _set(value).sgd(
        value, gradient, velocity, rate=rate, momentum=momentum, decay=decay, nesterov=nesterov
    )


def adam(
    value: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    decay: float,
    spread: float,
) -> None:
    """m ← m + (1-β₁)(g - m);  v ← β₂·v + (1-β₂)·g²;  w ← w - rate · m / (√v/spread + ε)."""
    _set(value).adam(
        value,
        gradient,
        mean,
        square,
        rate=rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        decay=decay,
        spread=spread,
    )


def rmsprop(
    value: Array,
    gradient: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    *,
    rate: float,
    alpha: float,
    epsilon: float,
    momentum: float,
    decay: float,
) -> None:
    """s ← α·s + (1-α)·g²;  u = g / (√(s - mean²) + ε);  w ← w - rate · (u, or its velocity)."""
    _set(value).rmsprop(
        value,
        gradient,
        square,
        mean,
        velocity,
        rate=rate,
        alpha=alpha,
        epsilon=epsilon,
        momentum=momentum,
        decay=decay,
    )
