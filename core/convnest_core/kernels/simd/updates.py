"""The optimizers' steps in one pass each, as `plain.updates` defines them."""

from __future__ import annotations

from convnest_core.arrays import Array

from .native import Native

_sgd = Native("updates", "sgd")
_adam = Native("updates", "adam")
_rmsprop = Native("updates", "rmsprop")


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
    """As `kernels.sgd`."""
    _sgd(value, gradient, velocity, value.size, rate, momentum, decay, int(nesterov))


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
    """As `kernels.adam`."""
    shares = 1.0 - beta1, beta2, 1.0 - beta2  # taken here, in float64
    _adam(value, gradient, mean, square, value.size, rate, *shares, epsilon, decay, spread)


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
    """As `kernels.rmsprop`."""
    slots = square, mean, velocity
    shares = alpha, 1.0 - alpha  # taken here, in float64
    _rmsprop(value, gradient, *slots, value.size, rate, *shares, epsilon, momentum, decay)
