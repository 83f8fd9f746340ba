"""ConvNest's network library: the course's networks in NumPy.

    module = network({"name": "lenet"}, classes=10)
    build(module, (28, 28, 1), seed=0)
    logits, backward = module.forward(images, Run(training=True, samples=indices))
    loss, dlogits = softmax_cross_entropy(logits, labels)
    backward(dlogits)

Images are NHWC. See `Module` for what a layer is, `spec` for descriptions in JSON.
"""

from .arrays import Array, Backward, Integers, Shape
from .building import Initialiser, build, shapes_only
from .combinators import Concat, Sequential, Sum
from .errors import CoreError, DTypeError, ShapeError, SpecError, StateError
from .fingerprint import fingerprint
from .layers import (
    AvgPool,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Logits,
    MaxPool,
    ReLU,
    Sigmoid,
    Tanh,
)
from .losses import softmax, softmax_cross_entropy, squared_loss
from .module import Module, zero_grad
from .optimizers import SGD
from .options import Kind, Option
from .parameters import Parameter
from .process import keep_freed_memory, single_blas_thread
from .random import shuffled, uniform
from .run import EVALUATION, Run
from .spec import layer_kinds, network, networks, normalise
from .summary import Row, Summary, summarise

__all__ = [
    "EVALUATION",
    "SGD",
    "Array",
    "AvgPool",
    "Backward",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "CoreError",
    "DTypeError",
    "Dropout",
    "Flatten",
    "Initialiser",
    "Integers",
    "Kind",
    "Linear",
    "Logits",
    "MaxPool",
    "Module",
    "Option",
    "Parameter",
    "ReLU",
    "Row",
    "Run",
    "Sequential",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "SpecError",
    "StateError",
    "Sum",
    "Summary",
    "Tanh",
    "build",
    "fingerprint",
    "keep_freed_memory",
    "layer_kinds",
    "network",
    "networks",
    "normalise",
    "shapes_only",
    "shuffled",
    "single_blas_thread",
    "softmax",
    "softmax_cross_entropy",
    "squared_loss",
    "summarise",
    "uniform",
    "zero_grad",
]
