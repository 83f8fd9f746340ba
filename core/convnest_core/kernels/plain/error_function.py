"""The error function, which NumPy lacks, and the normal distribution with it.

    erfc(z) = t · exp(-z² + P(t)),  t = 2 / (2 + z),  z ≥ 0

with P a Chebyshev series (Press, Teukolsky, Vetterling, Flannery, "Numerical Recipes", 3rd ed.,
6.2.2; the coefficients were computed anew with 60 digits). One formula serves every z, so nothing
is masked, and small values of erfc keep their digits.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from convnest_core.arrays import Array

_P = (
    -0.65132685989085472,
    0.64196979235649026,
    0.019476473204185836,
    -0.0095615147868086316,
    -0.00094659534448203697,
    0.00036683949785276145,
    4.2523324806907772e-5,
    -2.0278578112534243e-5,
    -1.6242900046470255e-6,
    1.3036558355805232e-6,
    1.5626441722066143e-8,
    -8.5238095914926543e-8,
    6.5290544390988514e-9,
    5.0593434955514689e-9,
    -9.9136415649303309e-10,
    -2.2736512229318359e-10,
    9.6467911020155268e-11,
    2.3940380830391147e-12,
    -6.8860275264975534e-12,
    8.9448792730907257e-13,
    3.1309213993429581e-13,
    -1.1270822361367252e-13,
    3.8109052551892321e-16,
    7.1060976136092370e-15,
    -1.5230282014571043e-15,
    -9.4574945712912340e-17,
    1.2102371892242790e-16,
    -2.8166630877471770e-17,
)
_FLOAT32_TERMS = 14  # what follows them is below float32's rounding
_TILE = 1 << 14  # the dozens of passes over a tile stay in the cache


def erf(x: Array) -> Array:
    """2/√π · ∫₀ˣ exp(-t²) dt, value by value; off by at most 5e-16 (float32: 5e-7)."""
    out = np.empty(x.shape, x.dtype)
    for values, result in _tiles(x, out):
        np.copysign(1.0 - _erfc(np.abs(values)), values, out=result)
    return out


def normal_cdf(x: Array) -> Array:
    """Φ(x) = ½ · erfc(-x/√2): the share of the standard normal distribution below x.

    Off by at most 5e-16 (float32: 5e-7).
    """
    out = np.empty(x.shape, x.dtype)
    for values, result in _tiles(x, out):
        tail = 0.5 * _erfc(np.abs(values) * (1.0 / sqrt(2.0)))
        result[...] = np.where(values > 0, 1.0 - tail, tail)
    return out


def _erfc(z: Array) -> Array:
    """erfc of z ≥ 0 by the formula above; Clenshaw's recurrence sums the series."""
    terms = _P if z.dtype == np.float64 else _P[:_FLOAT32_TERMS]
    t = 2.0 / (z + 2.0)
    twice = 4.0 * t - 2.0  # twice P's argument 2t - 1, which lies in (-1, 1]
    above, sums = np.zeros_like(z), np.full_like(z, terms[-1])
    for coefficient in terms[-2:0:-1]:
        next_sums = twice * sums
        next_sums -= above
        next_sums += coefficient
        above, sums = sums, next_sums
    series = 0.5 * twice * sums - above + terms[0]
    result: Array = t * np.exp(series - z * z)
    return result


def _tiles(x: Array, out: Array) -> list[tuple[Array, Array]]:
    flat, into = np.ravel(x), out.reshape(-1, copy=False)
    return [(flat[i : i + _TILE], into[i : i + _TILE]) for i in range(0, flat.size, _TILE)]
