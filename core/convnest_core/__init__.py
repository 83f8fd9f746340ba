"""ConvNest's network library: the course's networks in NumPy.

    module = network({"name": "lenet"}, classes=10)
    build(module, (28, 28, 1), seed=0)
    logits, backward = module.forward(images, Run(training=True, samples=indices))
    loss, dlogits = softmax_cross_entropy(logits, labels)
    backward(dlogits)

Images are NHWC. See `Module` for what a layer is, `spec` for descriptions in JSON.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .arrays import Array, Backward, Integers, Shape
from .auxiliary import Auxiliary
from .building import Initialiser, build, shapes_only
from .combinators import Concat, Sequential, Sum
from .errors import CoreError, DTypeError, ShapeError, SpecError, StateError
from .fingerprint import fingerprint
from .freezing import freeze, unfreeze
from .initialisers import Normal, Start
from .layers import (
    ELU,
    GELU,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    Logits,
    Maxout,
    MaxPool,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    SpatialDropout,
    Subsample,
    Tanh,
    Upsample,
)
from .losses import log_likelihood, softmax, softmax_cross_entropy, squared_loss
from .module import Module, zero_grad
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSProp
from .options import Kind, Option
from .parameters import Parameter
from .process import keep_freed_memory, single_blas_thread
from .random import shuffled, uniform
from .run import EVALUATION, Criterion, Run
from .spec import layer_kinds, network, networks, normalise

if TYPE_CHECKING:
    from . import schedules
    from .planning import Plan, plan
    from .summary import Row, Summary, summarise

__all__ = [
    "ELU",
    "EVALUATION",
    "GELU",
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool",
    "Array",
    "Auxiliary",
    "AvgPool",
    "Backward",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "CoreError",
    "Criterion",
    "DTypeError",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Initialiser",
    "Integers",
    "Kind",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "Logits",
    "MaxPool",
    "Maxout",
    "Module",
    "Normal",
    "Optimizer",
    "Option",
    "Parameter",
    "Plan",
    "RMSProp",
    "ReLU",
    "Row",
    "Run",
    "Sequential",
    "Shape",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SpatialDropout",
    "SpecError",
    "Start",
    "StateError",
    "Subsample",
    "Sum",
    "Summary",
    "Tanh",
    "Upsample",
    "build",
    "fingerprint",
    "freeze",
    "keep_freed_memory",
    "layer_kinds",
    "log_likelihood",
    "network",
    "networks",
    "normalise",
    "plan",
    "schedules",
    "shapes_only",
    "shuffled",
    "single_blas_thread",
    "softmax",
    "softmax_cross_entropy",
    "squared_loss",
    "summarise",
    "unfreeze",
    "uniform",
    "zero_grad",
]

# What many programs do without and what takes as long to import as all the rest: imported when it
# is first asked for.
_LATER = {
    "Plan": "planning",
    "Row": "summary",
    "Summary": "summary",
    "plan": "planning",
    "summarise": "summary",
}


def __getattr__(name: str) -> object:
    if name == "schedules":
        return import_module(".schedules", __name__)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
