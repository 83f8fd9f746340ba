"""The heavy arithmetic: pure functions, arrays in and arrays out, that layers call by these names.

Two sets stand behind them: `plain` (NumPy) and `simd` (generated, float32 only); `choice` says
which one computes, and `simd` hands what it has no kernel for to `plain`. Images are NHWC,
convolution weights (kernel height, kernel width, channels in a group, channels out). No function
writes to its arguments, and results are fresh arrays; scratch memory belongs to the thread. The
optimizers' steps and `add_product` alone change values in place.
"""

from .affine import Affine
from .choice import kernel_set, use_kernels
from .interface import (
    Gradients,
    adam,
    add,
    add_product,
    average_pool,
    average_pool_backward,
    channel_moments,
    convolve,
    convolve_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
    multiply,
    normalise,
    normalise_backward,
    normalise_sums,
    relu,
    relu_backward,
    response_norm,
    response_norm_backward,
    rmsprop,
    sgd,
)
from .plain import column_sums, erf, normal_cdf, per_channel

__all__ = [
    "Affine",
    "Gradients",
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
    "kernel_set",
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
    "use_kernels",
]
