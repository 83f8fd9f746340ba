"""The heavy arithmetic: pure functions, arrays in and arrays out, that layers call by these names.

This is NumPy's set: im2col and GEMM in L2-sized tiles. Images are NHWC, convolution weights
(kernel height, kernel width, channels in a group, channels out). No function writes to its
arguments, and results are fresh arrays; scratch memory belongs to the thread.
"""

from .activation import relu, relu_backward
from .convolution import Gradients, convolve, convolve_backward
from .error_function import erf, normal_cdf
from .pooling import (
    Places,
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
)
from .response_norm import response_norm, response_norm_backward
from .statistics import column_sums, per_channel

NAME = "numpy"

__all__ = [
    "NAME",
    "Gradients",
    "Places",
    "average_pool",
    "average_pool_backward",
    "column_sums",
    "convolve",
    "convolve_backward",
    "erf",
    "max_pool",
    "max_pool_backward",
    "max_pool_places",
    "normal_cdf",
    "per_channel",
    "relu",
    "relu_backward",
    "response_norm",
    "response_norm_backward",
]
