"""AlexNet, and ZFNet, which looked into it and changed the first layers."""

from __future__ import annotations

from convnest_core import forms
from convnest_core.combinators import Sequential
from convnest_core.errors import SpecError
from convnest_core.initialisers import Start
from convnest_core.layers import (
    AdaptiveAvgPool,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    Logits,
    MaxPool,
    ReLU,
)
from convnest_core.module import Module
from convnest_core.options import Kind, Option

from .parts import dropout_option, least_size, start_option

_PAPER = "N(0, 0.01), and ones for the biases of every convolution but 1 and 3 and of hidden layers"


def alexnet(
    classes: int,
    *,
    variant: str = "course",
    groups: int = 1,
    dropout: float = 0.5,
    start: str = "he",
) -> Sequential:
    """AlexNet (Krizhevsky, Sutskever, Hinton 2012).

    `course`: 227×227×3, each pooling followed by response normalisation, 62,378,344 parameters for
    1000 classes; with two groups as the paper split it over its cards, 60,965,224. The paper's
    formula sums over five channels with α = 1e-4, which here is 5e-4 / 5. `torchvision`: 224×224×3,
    fewer filters, no normalisation, any larger image by adaptive pooling; 61,100,840.
    """
    starts = _Starts(start)
    if variant == "torchvision":
        if groups != 1:
            raise SpecError("groups above 1 are the course's variant's alone", field="groups")
        features = _torchvision_features(starts)
        pooled: dict[str, Module] = {"avgpool": AdaptiveAvgPool(6)}
        classifier = [Dropout(dropout), *starts.hidden(), Dropout(dropout), *starts.hidden()]
    else:
        features = _course_features(groups, starts)
        pooled = {}
        classifier = [*starts.hidden(), Dropout(dropout), *starts.hidden(), Dropout(dropout)]
    classifier.append(starts.last(classes))
    return _network(features, pooled, classifier, classes)


def zfnet(
    classes: int, *, wide: bool = False, dropout: float = 0.5, start: str = "he"
) -> Sequential:
    """ZFNet (Zeiler, Fergus 2013): AlexNet with a first layer of 7×7, stride 2; 224×224×3.

    62,357,608 parameters for 1000 classes; `wide` has the 512, 1024 and 512 filters of the paper's
    larger model, which the course shows.
    """
    starts = _Starts(start)
    third, fourth, fifth = (512, 1024, 512) if wide else (384, 384, 256)
    features: list[Module] = [
        starts.convolution(96, 7, stride=2, padding=1),
        ReLU(),
        MaxPool(3, stride=2, padding=1),
        LocalResponseNorm(5, alpha=5e-4, k=2),
        starts.convolution(256, 5, stride=2, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2, padding=1),
        LocalResponseNorm(5, alpha=5e-4, k=2),
        starts.convolution(third, 3, padding=1),
        ReLU(),
        starts.convolution(fourth, 3, padding=1, bias=starts.one),
        ReLU(),
        starts.convolution(fifth, 3, padding=1, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2),
    ]
    classifier = [*starts.hidden(), Dropout(dropout), *starts.hidden(), Dropout(dropout)]
    classifier.append(starts.last(classes))
    return _network(features, {}, classifier, classes)


class _Starts:
    """Makes layers whose weights and biases start as they should."""

    def __init__(self, start: str) -> None:
        self._weights: Start = 0.01 if start == "paper" else start
        self._last: Start = 0.01 if start == "paper" else "xavier"
        self.one = 1.0 if start == "paper" else 0.0

    def convolution(
        self,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: float = 0.0,
    ) -> Conv2d:
        return Conv2d(
            filters,
            kernel,
            stride=stride,
            padding=padding,
            groups=groups,
            start=self._weights,
            bias_start=bias,
        )

    def hidden(self) -> list[Module]:
        return [Linear(4096, start=self._weights, bias_start=self.one), ReLU()]

    def last(self, classes: int) -> Linear:
        return Linear(classes, start=self._last)


def _course_features(groups: int, starts: _Starts) -> list[Module]:
    return [
        starts.convolution(96, 11, stride=4),
        ReLU(),
        MaxPool(3, stride=2),
        LocalResponseNorm(5, alpha=5e-4, k=2),
        starts.convolution(256, 5, padding=2, groups=groups, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2),
        LocalResponseNorm(5, alpha=5e-4, k=2),
        starts.convolution(384, 3, padding=1),
        ReLU(),
        starts.convolution(384, 3, padding=1, groups=groups, bias=starts.one),
        ReLU(),
        starts.convolution(256, 3, padding=1, groups=groups, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2),
    ]


def _torchvision_features(starts: _Starts) -> list[Module]:
    return [
        starts.convolution(64, 11, stride=4, padding=2),
        ReLU(),
        MaxPool(3, stride=2),
        starts.convolution(192, 5, padding=2, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2),
        starts.convolution(384, 3, padding=1),
        ReLU(),
        starts.convolution(256, 3, padding=1, bias=starts.one),
        ReLU(),
        starts.convolution(256, 3, padding=1, bias=starts.one),
        ReLU(),
        MaxPool(3, stride=2),
    ]


def _network(
    features: list[Module], pooled: dict[str, Module], classifier: list[Module], classes: int
) -> Sequential:
    network = Sequential(
        {
            "features": Sequential(features),
            **pooled,
            "flatten": Flatten(),
            "classifier": Sequential(classifier),
            "logits": Logits(classes),
        }
    )
    network.least_size = least_size(features)
    return network


_DROPOUT = dropout_option(0.5)
ALEXNETS: dict[str, Kind] = {
    "alexnet": Kind(
        "AlexNet, the first deep one to win ImageNet; 227×227×3",
        alexnet,
        (
            Option(
                "variant",
                forms.choice("course", "torchvision"),
                "course, or torchvision's: fewer filters, no response normalisation, 224×224×3",
                default="course",
            ),
            Option(
                "groups",
                forms.integer(1, 2),
                "2 splits convolutions 2, 4 and 5 as the paper did over its two cards",
                default=1,
            ),
            _DROPOUT,
            start_option(_PAPER),
        ),
    ),
    "zfnet": Kind(
        "ZFNet: AlexNet with smaller windows in the first layer; 224×224×3",
        zfnet,
        (
            Option(
                "wide",
                forms.boolean(),
                "512, 1024 and 512 filters in convolutions 3 to 5 instead of 384, 384 and 256",
                default=False,
            ),
            _DROPOUT,
            start_option(_PAPER),
        ),
    ),
}
