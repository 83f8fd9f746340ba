"""The heavy arithmetic: pure functions, arrays in and arrays out, that layers call by these names.

This is NumPy's set: im2col and GEMM in L2-sized tiles. Images are NHWC, convolution weights
(kernel height, kernel width, channels in, channels out). No function writes to its arguments, and
results are fresh arrays; scratch memory belongs to the thread.
"""

from .activation import relu, relu_backward
from .convolution import convolve, convolve_backward
from .pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from .statistics import column_sums, per_channel

NAME = "numpy"

__all__ = [
    "NAME",
    "average_pool",
    "average_pool_backward",
    "column_sums",
    "convolve",
    "convolve_backward",
    "max_pool",
    "max_pool_backward",
    "per_channel",
    "relu",
    "relu_backward",
]
