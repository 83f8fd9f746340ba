"""VGG (Simonyan, Zisserman 2014): nothing but 3×3 convolutions and 2×2 pooling."""

from __future__ import annotations

from functools import partial

from convnest_core import forms
from convnest_core.combinators import Sequential
from convnest_core.initialisers import Start
from convnest_core.layers import (
    AdaptiveAvgPool,
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

from .parts import dropout_option, start_option

_FILTERS = (64, 128, 256, 512, 512)
# Convolutions before each pooling: the paper's configurations A, B, D and E.
_DEPTHS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_PARAMETERS = {11: "132,863,336", 13: "133,047,848", 16: "138,357,544", 19: "143,667,240"}


def vgg(
    classes: int,
    *,
    depth: int,
    batch_norm: bool = False,
    dropout: float = 0.5,
    start: str = "he",
) -> Sequential:
    """VGG with `depth` layers that have weights, for 224×224×3; 138,357,544 parameters with 16.

    Images from 32×32 are brought to the first linear layer's 7×7 by adaptive pooling, as
    torchvision does.
    """
    weights: Start = 0.1 if start == "paper" else start
    features: list[Module] = []
    for filters, count in zip(_FILTERS, _DEPTHS[depth], strict=True):
        for _ in range(count):
            features.append(Conv2d(filters, 3, padding=1, start=weights))
            features += [BatchNorm(), ReLU()] if batch_norm else [ReLU()]
        features.append(MaxPool(2))
    network = Sequential(
        {
            "features": Sequential(features),
            "avgpool": AdaptiveAvgPool(7),
            "flatten": Flatten(),
            "classifier": Sequential(
                [
                    Linear(4096, start=weights),
                    ReLU(),
                    Dropout(dropout),
                    Linear(4096, start=weights),
                    ReLU(),
                    Dropout(dropout),
                    Linear(classes, start=0.1 if start == "paper" else "xavier"),
                ]
            ),
            "logits": Logits(classes),
        }
    )
    network.least_size = 1 << len(_FILTERS)
    return network


VGGS: dict[str, Kind] = {
    f"vgg{depth}": Kind(
        f"VGG with {depth} layers: 3×3 convolutions; 224×224×3, {_PARAMETERS[depth]} parameters",
        partial(vgg, depth=depth),
        (
            Option(
                "batch_norm", forms.boolean(), "normalise after each convolution", default=False
            ),
            dropout_option(0.5),
            start_option("N(0, 0.1), its variance being 0.01; meant for vgg11"),
        ),
    )
    for depth in _DEPTHS
}
