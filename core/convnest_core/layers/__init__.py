"""The layers, by family."""

from .activation import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh
from .batch_norm import BatchNorm
from .convolution import Conv2d
from .dropout import Dropout, SpatialDropout
from .linear import Linear
from .maxout import Maxout
from .pooling import AvgPool, MaxPool
from .reshaping import Flatten, Logits
from .resizing import AdaptiveAvgPool, GlobalAvgPool, Subsample, Upsample
from .response_norm import LocalResponseNorm

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool",
    "AvgPool",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "Logits",
    "MaxPool",
    "Maxout",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SpatialDropout",
    "Subsample",
    "Tanh",
    "Upsample",
]
