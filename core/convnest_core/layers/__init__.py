"""The layers, by family."""

from .activation import ReLU, Sigmoid, Tanh
from .batch_norm import BatchNorm
from .convolution import Conv2d
from .dropout import Dropout
from .linear import Linear
from .pooling import AvgPool, MaxPool
from .reshaping import Flatten, Logits

__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "Logits",
    "MaxPool",
    "ReLU",
    "Sigmoid",
    "Tanh",
]
