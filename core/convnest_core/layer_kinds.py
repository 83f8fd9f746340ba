"""The layers that a description can list, with their options."""

from __future__ import annotations

from . import forms
from .checks import MAX_FEATURES, MAX_FILTERS
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
    Maxout,
    MaxPool,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    SpatialDropout,
    Tanh,
    Upsample,
)
from .options import Kind, Option

_STRIDE = Option("stride", forms.pair(1), "step between windows", default=1)
_PADDING = Option("padding", forms.pair(0), "rows and columns of zeros around the image", default=0)
_BIAS = Option("bias", forms.boolean(), "add a trained constant to each output", default=True)
_START = Option(
    "start",
    forms.start(),
    "random weights: he (for relu), he_out, xavier, truncated, or their deviation, such as 0.01",
    default="he",
)
_BIAS_START = Option(
    "bias_start", forms.number(-100, 100), "what the constants start from", default=0.0
)
_RATE = Option("rate", forms.number(0, 1), "share of values dropped", default=0.5)
_POOL = (
    Option("size", forms.pair(1), "the window", default=2),
    Option("stride", forms.pair(1), "step between windows; the size by default", like="size"),
    Option("padding", forms.pair(0), "around the image, at most half the size", default=0),
    Option("ceil", forms.boolean(), "let a last window hang over the far edges", default=False),
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
            Option("dilation", forms.pair(1), "distance between a window's taps", default=1),
            Option(
                "groups",
                forms.integer(1, MAX_FILTERS),
                "equal parts of the channels that do not mix; must divide both numbers of them",
                default=1,
            ),
            _BIAS,
            _START,
            _BIAS_START,
        ),
    ),
    "linear": Kind(
        "Fully connected layer",
        Linear,
        (
            Option("features", forms.integer(1, MAX_FEATURES), "values out", required=True),
            _BIAS,
            _START,
            _BIAS_START,
        ),
    ),
    "max_pool": Kind("Largest value of each window", MaxPool, _POOL),
    "avg_pool": Kind(
        "Mean of each window",
        AvgPool,
        (
            *_POOL,
            Option(
                "count_padding",
                forms.boolean(),
                "let the padding's zeros count as values of a window",
                default=True,
            ),
        ),
    ),
    "global_avg_pool": Kind("Mean of each channel: images to vectors", GlobalAvgPool),
    "adaptive_avg_pool": Kind(
        "Means that bring images of any size to one",
        AdaptiveAvgPool,
        (Option("size", forms.pair(1), "the size, or [height, width]", required=True),),
    ),
    "upsample": Kind(
        "Repeat each pixel",
        Upsample,
        (Option("factor", forms.pair(1), "how many times in each direction", default=2),),
    ),
    "flatten": Kind("Images to vectors", Flatten),
    "dropout": Kind("Drop values at random in training", Dropout, (_RATE,)),
    "spatial_dropout": Kind(
        "Drop whole channels of images at random in training", SpatialDropout, (_RATE,)
    ),
    "batch_norm": Kind(
        "Batch normalisation",
        BatchNorm,
        (
            Option("momentum", forms.number(0, 1), "weight of the newest batch", default=0.1),
            Option("epsilon", forms.number(1e-12, 1), "added to the variance", default=1e-5),
        ),
    ),
    "lrn": Kind(
        "Local response normalisation: x / (k + alpha/size · Σ x²)^beta over near channels",
        LocalResponseNorm,
        (
            Option("size", forms.integer(1, 1024), "number of channels in the sum", default=5),
            Option("alpha", forms.number(0, 1e4), "weight of their mean square", default=1e-4),
            Option("beta", forms.number(0, 100), "the exponent", default=0.75),
            Option("k", forms.positive(1e4), "added to the mean square", default=1.0),
        ),
    ),
    "relu": Kind("max(x, 0)", ReLU),
    "leaky_relu": Kind(
        "x where positive, else slope · x",
        LeakyReLU,
        (Option("slope", forms.number(0, 100), "of the negative side", default=0.01),),
    ),
    "elu": Kind(
        "x where positive, else alpha · (exp(x) - 1)",
        ELU,
        (Option("alpha", forms.positive(100), "what it tends to, negated", default=1.0),),
    ),
    "sigmoid": Kind("1 / (1 + exp(-x))", Sigmoid),
    "tanh": Kind("Hyperbolic tangent", Tanh),
    "gelu": Kind("x · Φ(x), Φ the normal distribution", GELU),
    "silu": Kind("x · sigmoid(x)", SiLU),
    "maxout": Kind(
        "Largest of every few neighbouring channels",
        Maxout,
        (Option("pieces", forms.integer(2, 64), "channels in each group", default=2),),
    ),
    "softmax": Kind("Probabilities over the last axis", Softmax),
}
