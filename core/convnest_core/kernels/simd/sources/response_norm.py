"""Response normalisation across n neighbouring channels: y = x · d⁻ᵝ with d = k + α/n · Σ x².

Only for β = ¾, the paper's choice, whose power is two square roots: d^¾ = √d · √√d. A pixel's
squares lie in scratch memory between zeros, so a sum over neighbours is n loads, each a channel
further. Some pixels' squares are written before the first are read: what has just been written in
one piece cannot be read at once in another.

Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
networks", 2012, section 3.3.
"""

from __future__ import annotations

import numpy as np

from convnest_core.kernels.simd.language import WIDTH, Floats, FloatsOut, part, strip

_s = strip(2)
STRIP = 2 * WIDTH
_TOGETHER = 8  # pixels
_BETA = 0.75


@part
def _summed(work, at, count):
    """Σ work[at + i] for i < count, for a strip of channels."""
    total = _s.zero()
    for i in range(count):
        total = _s.plus(total, _s.read(work, at + i, STRIP))
    return total


@part
def _squared(x, at, work, work_at, channels):
    """A pixel's squares; what the last strip has beyond the channels is zero."""
    for c in range(0, channels, STRIP):
        value = _s.read(x, at + c, channels - c)
        _s.write(work, work_at + c, STRIP, _s.times(value, value))


@part
def _power(base):
    """d^¾."""
    root = _s.square_root(base)
    return _s.times(root, _s.square_root(root))


def response_norm(
    x: Floats,
    work: FloatsOut,
    y: FloatsOut,
    pixels: int,
    channels: int,
    size: int,
    x_pixel: int,
    y_pixel: int,
    work_pixel: int,
    alpha: float,
    k: float,
) -> None:
    """y of `pixels` pixels; alpha is α/n, and `work` zeros for 8 pixels with room for n more."""
    before = size // 2
    for first in range(0, pixels, _TOGETHER):
        last = min(first + _TOGETHER, pixels)
        for p in range(first, last):
            _squared(x, p * x_pixel, work, (p - first) * work_pixel + before, channels)
        for p in range(first, last):
            for c in range(0, channels, STRIP):
                left = channels - c
                total = _summed(work, (p - first) * work_pixel + c, size)
                base = _s.fused(total, _s.splat(alpha), _s.splat(k))
                value = _s.read(x, p * x_pixel + c, left)
                _s.write(y, p * y_pixel + c, left, _s.divided(value, _power(base)))


def response_norm_backward(
    x: Floats,
    dy: Floats,
    work: FloatsOut,
    shared: FloatsOut,
    dx: FloatsOut,
    pixels: int,
    channels: int,
    size: int,
    work_pixel: int,
    alpha: float,
    k: float,
) -> None:
    """dx = dy · d⁻ᵝ - 2αβ/n · x · Σ dy · x · d⁻ᵝ⁻¹, summed over the channels that x went into.

    `shared` is as `work`: each channel's dy · x · d⁻ᵝ⁻¹.
    """
    before, after = size // 2, (size - 1) // 2
    slope = _s.splat(np.float32(-2.0 * _BETA) * alpha)
    for first in range(0, pixels, _TOGETHER):
        last = min(first + _TOGETHER, pixels)
        for p in range(first, last):
            _squared(x, p * channels, work, (p - first) * work_pixel + before, channels)
        for p in range(first, last):
            for c in range(0, channels, STRIP):
                left, at = channels - c, p * channels + c
                total = _summed(work, (p - first) * work_pixel + c, size)
                base = _s.fused(total, _s.splat(alpha), _s.splat(k))
                direct = _s.divided(_s.read(dy, at, left), _power(base))
                product = _s.divided(_s.times(direct, _s.read(x, at, left)), base)
                _s.write(dx, at, left, direct)
                _s.write(shared, (p - first) * work_pixel + after + c, STRIP, product)
        for p in range(first, last):
            for c in range(0, channels, STRIP):
                left, at = channels - c, p * channels + c
                total = _summed(shared, (p - first) * work_pixel + c, size)
                value = _s.times(_s.read(x, at, left), slope)
                _s.write(dx, at, left, _s.fused(value, total, _s.read(dx, at, left)))
