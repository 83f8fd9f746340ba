"""The optimizers' steps, each in one pass over a parameter, its gradient and its slots.

Source: Polyak 1964 and Nesterov 1983 (in Sutskever et al. 2013's form); Kingma, Ba, "Adam", 2015;
Tieleman, Hinton, "RMSProp", 2012. Formulas and names are those of NumPy's functions.
"""

from __future__ import annotations

from convnest_core.kernels.simd.language import WIDTH, Floats, FloatsOut, is_given, part, strip

_s = strip(2)
STRIP = 2 * WIDTH


@part
def _decayed(value, gradient, decay):
    """The gradient with the decay in it."""
    return _s.fused(value, _s.splat(decay), gradient)


@part
def _towards(average, value, share):
    """A moving average, a share of the way to a value."""
    return _s.fused(_s.minus(value, average), _s.splat(share), average)


def sgd(
    value: FloatsOut,
    gradient: Floats,
    velocity: FloatsOut,
    size: int,
    rate: float,
    momentum: float,
    decay: float,
    nesterov: int,
) -> None:
    """g = dL/dw + decay · w;  v ← momentum · v + g;  w ← w - rate · (v, or g + momentum · v)."""
    for i in range(0, size, STRIP):
        left = size - i
        w = _s.read(value, i, left)
        step = _decayed(w, _s.read(gradient, i, left), decay)
        if is_given(velocity):
            speed = _s.fused(_s.read(velocity, i, left), _s.splat(momentum), step)
            _s.write(velocity, i, left, speed)
            if nesterov:
                step = _s.fused(speed, _s.splat(momentum), step)
            else:
                step = speed
        _s.write(value, i, left, _s.minus(w, _s.times(step, _s.splat(rate))))


def adam(
    value: FloatsOut,
    gradient: Floats,
    mean: FloatsOut,
    square: FloatsOut,
    size: int,
    rate: float,
    mean_share: float,
    square_kept: float,
    square_share: float,
    epsilon: float,
    decay: float,
    spread: float,
) -> None:
    """m ← m + (1-β₁)(g - m);  v ← β₂·v + (1-β₂)·g²;  w ← w - rate · m / (√v/spread + ε)."""
    for i in range(0, size, STRIP):
        left = size - i
        w = _s.read(value, i, left)
        g = _decayed(w, _s.read(gradient, i, left), decay)
        m = _towards(_s.read(mean, i, left), g, mean_share)
        grown = _s.times(_s.times(g, _s.splat(square_share)), g)
        v = _s.fused(_s.read(square, i, left), _s.splat(square_kept), grown)
        width = _s.plus(_s.divided(_s.square_root(v), _s.splat(spread)), _s.splat(epsilon))
        _s.write(mean, i, left, m)
        _s.write(square, i, left, v)
        _s.write(value, i, left, _s.minus(w, _s.times(_s.divided(m, width), _s.splat(rate))))


def rmsprop(
    value: FloatsOut,
    gradient: Floats,
    square: FloatsOut,
    mean: FloatsOut,
    velocity: FloatsOut,
    size: int,
    rate: float,
    kept: float,
    share: float,
    epsilon: float,
    momentum: float,
    decay: float,
) -> None:
    """s ← α·s + (1-α)·g²;  u = g / (√(s - mean²) + ε);  w ← w - rate · (u, or its velocity)."""
    for i in range(0, size, STRIP):
        left = size - i
        w = _s.read(value, i, left)
        g = _decayed(w, _s.read(gradient, i, left), decay)
        grown = _s.times(_s.times(g, _s.splat(share)), g)
        s = _s.fused(_s.read(square, i, left), _s.splat(kept), grown)
        _s.write(square, i, left, s)
        if is_given(mean):
            m = _towards(_s.read(mean, i, left), g, share)
            _s.write(mean, i, left, m)
            s = _s.rectified(_s.minus(s, _s.times(m, m)))  # rounding may take it below zero
        step = _s.divided(g, _s.plus(_s.square_root(s), _s.splat(epsilon)))
        if is_given(velocity):
            step = _s.fused(_s.read(velocity, i, left), _s.splat(momentum), step)
            _s.write(velocity, i, left, step)
        _s.write(value, i, left, _s.minus(w, _s.times(step, _s.splat(rate))))
