"""Generated kernels: SIMD machine code from Python, through Numba.

`routing` decides which of them a layer gets; what it gives to none, NumPy's set computes.
"""

from .convolution import convolve, convolve_backward
from .normalising import channel_moments, normalise, normalise_backward, normalise_sums
from .pooling import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
)
from .response_norm import response_norm, response_norm_backward
from .updates import adam, rmsprop, sgd
from .values import add, relu, relu_backward

__all__ = [
    "adam",
    "add",
    "average_pool",
    "average_pool_backward",
    "channel_moments",
    "convolve",
    "convolve_backward",
    "max_pool",
    "max_pool_backward",
    "max_pool_places",
    "normalise",
    "normalise_backward",
    "normalise_sums",
    "relu",
    "relu_backward",
    "response_norm",
    "response_norm_backward",
    "rmsprop",
    "sgd",
]
