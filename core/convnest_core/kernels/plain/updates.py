"""The optimizers' arithmetic on one tile: flat arrays in, values and slots moved in place.

A tile is some thousand contiguous values with their gradient and slots; gradients stay as they are.
"""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.scratch import scratch


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
    """g = dL/dw + decay · w;  v ← momentum · v + g;  w ← w - rate · (v, or g + momentum · v)."""
    step = _decayed(value, gradient, decay)
    if velocity is not None:
        velocity *= momentum
        velocity += step
        if nesterov:
            ahead = np.multiply(velocity, momentum, out=_like(value, "step"))
            ahead += step
            step = ahead
        else:
            step = velocity
    value -= np.multiply(step, rate, out=_like(value, "step"))


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
    gradient = _decayed(value, gradient, decay)
    step = np.subtract(gradient, mean, out=_like(value, "step"))
    step *= 1.0 - beta1
    mean += step
    np.multiply(gradient, 1.0 - beta2, out=step)
    step *= gradient
    square *= beta2
    square += step
    np.sqrt(square, out=step)
    step /= spread
    step += epsilon
    np.divide(mean, step, out=step)
    step *= rate
    value -= step


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
    gradient = _decayed(value, gradient, decay)
    step = np.multiply(gradient, 1.0 - alpha, out=_like(value, "step"))
    step *= gradient
    square *= alpha
    square += step
    if mean is None:
        np.sqrt(square, out=step)
    else:
        np.subtract(gradient, mean, out=step)
        step *= 1.0 - alpha
        mean += step
        np.multiply(mean, mean, out=step)
        np.subtract(square, step, out=step)
        # Rounding may take a variance of nothing below zero.
        np.maximum(step, 0, out=step)
        np.sqrt(step, out=step)
    step += epsilon
    np.divide(gradient, step, out=step)
    if velocity is not None:
        velocity *= momentum
        velocity += step
        np.copyto(step, velocity)
    step *= rate
    value -= step


def _decayed(value: Array, gradient: Array, decay: float) -> Array:
    """The gradient with the decay in it."""
    if not decay:
        return gradient
    decayed = np.multiply(value, decay, out=_like(value, "gradient"))
    decayed += gradient
    return decayed


def _like(value: Array, name: str) -> Array:
    return scratch(f"update.{name}", value.shape, value.dtype)
