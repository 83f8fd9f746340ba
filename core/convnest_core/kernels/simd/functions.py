"""What layers call: the functions of `kernels.interface` by generated kernels."""

from .convolution import convolve, convolve_backward
from .normalising import channel_moments, normalise, normalise_backward, normalise_sums
from .pooling import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_places,
)
from .products import add_product, multiply
from .response_norm import response_norm, response_norm_backward
from .updates import adam, rmsprop, sgd
from .values import add, relu, relu_backward

__all__ = [
    "adam",
    "add",
    "add_product",
    "average_pool",
    "average_pool_backward",
    "channel_moments",
    "convolve",
    "convolve_backward",
    "max_pool",
    "max_pool_backward",
    "max_pool_places",
    "multiply",
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
