"""The layers that a description can list, with their options."""

from __future__ import annotations

from . import forms
from .checks import MAX_FEATURES, MAX_FILTERS
from .initialisers import STARTS
from .layers import (
    AvgPool,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Sigmoid,
    Tanh,
)
from .options import Kind, Option

_STRIDE = Option("stride", forms.pair(1), "step between windows", default=1)
_PADDING = Option("padding", forms.pair(0), "rows and columns of zeros around the image", default=0)
_BIAS = Option("bias", forms.boolean(), "add a trained constant to each output", default=True)
_START = Option("start", forms.choice(*STARTS), "he (for relu) or xavier", default="he")
_POOL = (
    Option("size", forms.pair(1), "the window", default=2),
    Option("stride", forms.pair(1), "step between windows; the size by default", like="size"),
    Option("padding", forms.pair(0), "around the image, at most half the size", default=0),
)

LAYERS: dict[str, Kind] = {
    "conv": Kind(
        "Convolution",
        Conv2d,
        (
            Option("filters", forms.integer(1, MAX_FILTERS), "channels out", required=True),
            Option("kernel", forms.pair(1), "size, or [height, width]", required=True),
            _STRIDE,
            _PADDING,
            _BIAS,
            _START,
        ),
    ),
    "linear": Kind(
        "Fully connected layer",
        Linear,
        (
            Option("features", forms.integer(1, MAX_FEATURES), "values out", required=True),
            _BIAS,
            _START,
        ),
    ),
    "max_pool": Kind("Largest value of each window", MaxPool, _POOL),
    "avg_pool": Kind("Mean of each window", AvgPool, _POOL),
    "flatten": Kind("Images to vectors", Flatten),
    "dropout": Kind(
        "Drop values at random in training",
        Dropout,
        (Option("rate", forms.number(0, 1), "share of values dropped", default=0.5),),
    ),
    "batch_norm": Kind(
        "Batch normalisation",
        BatchNorm,
        (
            Option("momentum", forms.number(0, 1), "weight of the newest batch", default=0.1),
            Option("epsilon", forms.number(1e-12, 1), "added to the variance", default=1e-5),
        ),
    ),
    "relu": Kind("max(x, 0)", ReLU),
    "sigmoid": Kind("1 / (1 + exp(-x))", Sigmoid),
    "tanh": Kind("Hyperbolic tangent", Tanh),
}
