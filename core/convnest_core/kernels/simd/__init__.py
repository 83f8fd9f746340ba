"""Generated kernels: SIMD machine code from Python, through Numba.

`routing` decides which of them a layer gets; what it gives to none, NumPy's set computes.
"""

from convnest_core.kernels.plain import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
    relu,
    relu_backward,
    response_norm,
    response_norm_backward,
)

from .convolution import convolve, convolve_backward

__all__ = [
    "average_pool",
    "average_pool_backward",
    "convolve",
    "convolve_backward",
    "max_pool",
    "max_pool_backward",
    "max_pool_places",
    "relu",
    "relu_backward",
    "response_norm",
    "response_norm_backward",
]
