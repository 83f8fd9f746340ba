"""Convolution and its gradients by the kernels that `routing` chooses."""

from __future__ import annotations

from convnest_core.arrays import Array, Pair
from convnest_core.kernels import plain
from convnest_core.kernels.planned.convolution import Geometry

from . import direct, direct_weights, pointwise, winograd, winograd_gradient
from .routing import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Convolution, algorithm


def convolve(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    rectify: bool = False,
) -> Array:
    """As `kernels.convolve`."""
    shapes = _shapes(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    match algorithm(FORWARD, shapes):
        case "product":
            return pointwise.convolve(x, w, b, stride=stride, rectify=rectify)
        case "winograd":
            return winograd.convolve(x, w, b, padding=padding, rectify=rectify)
        case "direct":
            geometry = Geometry((w.shape[0], w.shape[1]), stride, padding, dilation)
            return direct.convolve(x, w, b, geometry=geometry, groups=groups, rectify=rectify)
        case _:
            return plain.convolve(
                x,
                w,
                b,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                rectify=rectify,
            )


def convolve_backward(
    x: Array,
    w: Array,
    dy: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    bias: bool,
    input_gradient: bool,
    weight_gradient: bool,
) -> tuple[Array | None, Array | None, Array | None]:
    """As `kernels.convolve_backward`: dx, dw, db."""
    shapes = _shapes(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    dx = dw = db = None
    if input_gradient:
        match algorithm(INPUT_GRADIENT, shapes):
            case "product":
                size = x.shape[1], x.shape[2]
                dx = pointwise.input_gradient(dy, w, size=size, stride=stride)
            case "winograd":
                size = x.shape[1], x.shape[2]
                dx = winograd.input_gradient(dy, w, size=size, padding=padding)
            case "direct":
                dx = direct.input_gradient(
                    w,
                    dy,
                    (x.shape[1], x.shape[2]),
                    stride=stride,
                    padding=padding,
                    groups=groups,
                )
            case _:
                dx, _, _ = plain.convolve_backward(
                    x,
                    w,
                    dy,
                    stride=stride,
                    padding=padding,
                    dilation=dilation,
                    groups=groups,
                    bias=False,
                    input_gradient=True,
                    weight_gradient=False,
                )
    if weight_gradient:
        match algorithm(WEIGHT_GRADIENT, shapes):
            case "product":
                dw, db = pointwise.weight_gradient(x, dy, stride=stride, bias=bias)
            case "winograd":
                dw, db = winograd_gradient.weight_gradient(
                    x, dy, kernel=len(w), padding=padding, bias=bias
                )
            case "direct":
                dw, db = direct_weights.weight_gradient(
                    x, w, dy, stride=stride, padding=padding, groups=groups, bias=bias
                )
            case _:
                _, dw, db = plain.convolve_backward(
                    x,
                    w,
                    dy,
                    stride=stride,
                    padding=padding,
                    dilation=dilation,
                    groups=groups,
                    bias=bias,
                    input_gradient=False,
                    weight_gradient=True,
                )
    return dx, dw, db


def _shapes(
    x: Array, w: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Convolution:
    kh, kw, channels, filters = w.shape
    size = x.shape[1], x.shape[2]
    return Convolution(
        (kh, kw), channels, filters // groups, stride, padding, dilation, groups, size
    )
