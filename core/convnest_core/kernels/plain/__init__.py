"""NumPy's kernels: im2col and GEMM in L2-sized tiles. Always there, for every dtype and shape.

They are the reference that the generated ones are held to.
"""

from .activation import add, relu, relu_backward
from .convolution import convolve, convolve_backward
from .error_function import erf, normal_cdf
from .normalisation import channel_moments, normalise, normalise_backward, normalise_sums
from .pooling import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
)
from .products import add_product, multiply
from .response_norm import response_norm, response_norm_backward
from .statistics import column_sums, per_channel
from .updates import adam, rmsprop, sgd

__all__ = [
    "adam",
    "add",
    "add_product",
    "average_pool",
    "average_pool_backward",
    "channel_moments",
    "column_sums",
    "convolve",
    "convolve_backward",
    "erf",
    "max_pool",
    "max_pool_backward",
    "max_pool_places",
    "multiply",
    "normal_cdf",
    "normalise",
    "normalise_backward",
    "normalise_sums",
    "per_channel",
    "relu",
    "relu_backward",
    "response_norm",
    "response_norm_backward",
    "rmsprop",
    "sgd",
]
