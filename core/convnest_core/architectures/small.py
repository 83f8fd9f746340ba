"""Small networks: LeNet-5, perceptrons, and the course's pattern of convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from convnest_core import forms
from convnest_core.checks import MAX_FEATURES, MAX_FILTERS
from convnest_core.combinators import Sequential
from convnest_core.errors import SpecError
from convnest_core.layers import (
    AvgPool,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Logits,
    MaxPool,
    ReLU,
)
from convnest_core.module import Module
from convnest_core.options import Kind, Option

from .parts import ACTIVATION, ACTIVATIONS, dropout_option, least_size

_DROPOUT = dropout_option(0.0)


def lenet(
    classes: int, *, activation: str = "relu", pooling: str = "max", padding: int = 2
) -> Sequential:
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) as it is taught now.

    Two 5×5 convolutions (6 and 16 filters), each pooled 2×2, and layers of 120, 84 and `classes`:
    61,706 parameters for 28×28×1 and ten classes, or for the paper's 32×32×1 with padding 0.
    """
    function, start = ACTIVATIONS[activation]
    pool = MaxPool if pooling == "max" else AvgPool
    network = Sequential(
        {
            "conv1": Conv2d(6, 5, padding=padding, start=start),
            "act1": function(),
            "pool1": pool(2),
            "conv2": Conv2d(16, 5, start=start),
            "act2": function(),
            "pool2": pool(2),
            "flatten": Flatten(),
            "fc1": Linear(120, start=start),
            "act3": function(),
            "fc2": Linear(84, start=start),
            "act4": function(),
            "fc3": Linear(classes, start="xavier"),
            "logits": Logits(classes),
        }
    )
    network.least_size = least_size(network.children().values())
    return network


def mlp(
    classes: int, *, hidden: Sequence[int] = (256,), activation: str = "relu", dropout: float = 0.0
) -> Sequential:
    """Linear layers of the sizes in `hidden`, and one of `classes`; images are flattened."""
    function, start = ACTIVATIONS[activation]
    modules: dict[str, Module] = {"flatten": Flatten()}
    for number, features in enumerate(hidden, 1):
        modules[f"fc{number}"] = Linear(features, start=start)
        modules[f"act{number}"] = function()
        if dropout:
            modules[f"drop{number}"] = Dropout(dropout)
    modules[f"fc{len(hidden) + 1}"] = Linear(classes, start="xavier")
    return Sequential({**modules, "logits": Logits(classes)})


def convnet(
    classes: int,
    *,
    n: int = 2,
    m: int = 2,
    k: int = 1,
    filters: int = 32,
    kernel: int = 3,
    hidden: int = 128,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Sequential:
    """[(Conv-ReLU)·N-Pool]·M-(FC-ReLU)·K and a layer of `classes`; the softmax is in the loss.

    Convolutions keep the image's size (odd `kernel`, stride 1), pooling halves it, and each of the
    M stages has twice the filters of the one before.
    """
    if filters << (m - 1) > MAX_FILTERS:
        message = f"filters must be ≤ {MAX_FILTERS >> (m - 1)} for {m} stages, got {filters}"
        raise SpecError(message, field="filters")
    features: list[Module] = []
    for stage in range(m):
        for _ in range(n):
            width = filters << stage
            features.append(Conv2d(width, kernel, padding=kernel // 2, bias=not batch_norm))
            features += [BatchNorm(), ReLU()] if batch_norm else [ReLU()]
        features.append(MaxPool(2))
    classifier: list[Module] = []
    for _ in range(k):
        classifier += [Linear(hidden), ReLU()]
        classifier += [Dropout(dropout)] if dropout else []
    classifier.append(Linear(classes, start="xavier"))
    network = Sequential(
        {
            "features": Sequential(features),
            "flatten": Flatten(),
            "classifier": Sequential(classifier),
            "logits": Logits(classes),
        }
    )
    network.least_size = least_size(features)
    return network


SMALL: dict[str, Kind] = {
    "lenet": Kind(
        "LeNet-5: two convolutions, three linear layers; for small images such as digits",
        lenet,
        (
            ACTIVATION,
            Option("pooling", forms.choice("max", "avg"), "max or avg", default="max"),
            Option(
                "padding",
                forms.integer(0, 4),
                "around the image; 2 for 28×28, 0 for the paper's 32×32",
                default=2,
            ),
        ),
    ),
    "mlp": Kind(
        "Multi-layer perceptron: fully connected layers only",
        mlp,
        (
            Option(
                "hidden",
                forms.integers(1, MAX_FEATURES, 64),
                "sizes of the hidden layers",
                default=[256],
            ),
            ACTIVATION,
            _DROPOUT,
        ),
    ),
    "convnet": Kind(
        "The pattern [(Conv-ReLU)*N-Pool]*M-(FC-ReLU)*K-Softmax",
        convnet,
        (
            Option("n", forms.integer(1, 16), "convolutions before each pooling", default=2),
            Option("m", forms.integer(1, 10), "stages, each ending in a 2×2 pooling", default=2),
            Option("k", forms.integer(0, 16), "hidden linear layers", default=1),
            Option(
                "filters",
                forms.integer(1, MAX_FILTERS),
                "filters of the first stage; each next one has twice as many",
                default=32,
            ),
            Option("kernel", forms.odd(15), "kernel size, odd", default=3),
            Option(
                "hidden",
                forms.integer(1, MAX_FEATURES),
                "size of hidden linear layers",
                default=128,
            ),
            _DROPOUT,
            Option(
                "batch_norm", forms.boolean(), "normalise after each convolution", default=False
            ),
        ),
    ),
}
