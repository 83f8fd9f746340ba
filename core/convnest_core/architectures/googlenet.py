"""GoogLeNet (Szegedy et al. 2015, "Going deeper with convolutions"): inception modules."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from convnest_core import forms
from convnest_core.auxiliary import Auxiliary
from convnest_core.combinators import Concat, Sequential
from convnest_core.errors import SpecError
from convnest_core.initialisers import Normal, Start
from convnest_core.layers import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    Logits,
    MaxPool,
    ReLU,
)
from convnest_core.module import Module
from convnest_core.options import Kind, Option

from .parts import dropout_option, least_size


class _Widths(NamedTuple):
    """Filters of one inception module (the paper's table 1)."""

    one: int
    three_reduced: int
    three: int
    five_reduced: int
    five: int
    pooled: int


_MODULES: dict[str, _Widths] = {
    "3a": _Widths(64, 96, 128, 16, 32, 32),
    "3b": _Widths(128, 128, 192, 32, 96, 64),
    "4a": _Widths(192, 96, 208, 16, 48, 64),
    "4b": _Widths(160, 112, 224, 24, 64, 64),
    "4c": _Widths(128, 128, 256, 24, 64, 64),
    "4d": _Widths(112, 144, 288, 32, 64, 64),
    "4e": _Widths(256, 160, 320, 32, 128, 128),
    "5a": _Widths(256, 160, 320, 32, 128, 128),
    "5b": _Widths(384, 192, 384, 48, 128, 128),
}


def googlenet(
    classes: int,
    *,
    variant: str = "paper",
    auxiliary: bool = True,
    naive: bool = False,
    dropout: float = 0.4,
    start: str = "he",
) -> Sequential:
    """GoogLeNet for 224×224×3.

    `paper`: response normalisation and 5×5 convolutions; 6,998,552 parameters for 1000 classes
    without the auxiliary heads. `torchvision`: BatchNorm, 3×3 in place of 5×5; 6,624,904.
    `naive` leaves out the 1×1 convolutions that keep the modules small, as the course shows first.
    """
    make = _Maker(variant == "torchvision", start)
    if naive and make.torchvision:
        raise SpecError("naive modules are the paper's variant's alone", field="naive")
    module = make.naive if naive else make.inception
    conv1, pools = make.convolution(64, 7, stride=2, padding=3), make.pools()
    children: dict[str, Module] = {
        "conv1": conv1,
        "maxpool1": pools[0],
        **make.normalised("norm1"),
        "conv2": make.convolution(64, 1),
        "conv3": make.convolution(192, 3, padding=1),
        **make.normalised("norm2"),
        "maxpool2": pools[1],
    }
    for name, widths in _MODULES.items():
        children[f"inception{name}"] = module(widths)
        if auxiliary and name in ("4a", "4d"):
            head = "aux1" if name == "4a" else "aux2"
            children[head] = Auxiliary(make.head(classes), weight=0.3)
        if name in ("3b", "4e"):
            children["maxpool3" if name == "3b" else "maxpool4"] = pools[2 if name == "3b" else 3]
    network = Sequential(
        {
            **children,
            "avgpool": GlobalAvgPool(),
            "dropout": Dropout(dropout),
            "fc": Linear(classes, start=make.last),
            "logits": Logits(classes),
        }
    )
    trunk = [conv1.children()["conv"], *pools[:3]]
    network.least_size = least_size([*trunk, pools[3]])
    if auxiliary and not make.torchvision:
        network.least_size = max(network.least_size, least_size([*trunk, _head_pool()]))
    return network


def _head_pool() -> AvgPool:
    return AvgPool(5, stride=3)


class _Maker:
    """Makes the parts of one variant."""

    def __init__(self, torchvision: bool, start: str) -> None:
        self.torchvision = torchvision
        # Papers before 2015 said little of it; Caffe's reference model is the usual source.
        starts: dict[str, Start] = {"he": "he", "xavier": "xavier", "paper": "xavier"}
        self._start = starts.get(start, Normal(0.01, cut=2.0))
        self._bias_start = 0.2 if start == "paper" else 0.0
        self.last: Start = Normal(0.01, cut=2.0) if start == "torchvision" else "xavier"

    def convolution(
        self, filters: int, kernel: int, *, stride: int = 1, padding: int = 0
    ) -> Sequential:
        conv = partial(Conv2d, filters, kernel, stride=stride, padding=padding, start=self._start)
        if self.torchvision:
            return Sequential(
                {"conv": conv(bias=False), "bn": BatchNorm(epsilon=0.001), "relu": ReLU()}
            )
        return Sequential({"conv": conv(bias_start=self._bias_start), "relu": ReLU()})

    def normalised(self, name: str) -> dict[str, Module]:
        return {} if self.torchvision else {name: LocalResponseNorm(5, alpha=1e-4)}

    def pools(self) -> list[MaxPool]:
        last = 2 if self.torchvision else 3
        return [MaxPool(size, stride=2, ceil=True) for size in (3, 3, 3, last)]

    def inception(self, widths: _Widths) -> Concat:
        five = 3 if self.torchvision else 5
        return Concat(
            {
                "branch1": self.convolution(widths.one, 1),
                "branch2": Sequential(
                    [
                        self.convolution(widths.three_reduced, 1),
                        self.convolution(widths.three, 3, padding=1),
                    ]
                ),
                "branch3": Sequential(
                    [
                        self.convolution(widths.five_reduced, 1),
                        self.convolution(widths.five, five, padding=five // 2),
                    ]
                ),
                "branch4": Sequential(
                    [
                        MaxPool(3, stride=1, padding=1, ceil=True),
                        self.convolution(widths.pooled, 1),
                    ]
                ),
            }
        )

    def naive(self, widths: _Widths) -> Concat:
        return Concat(
            {
                "branch1": self.convolution(widths.one, 1),
                "branch2": self.convolution(widths.three, 3, padding=1),
                "branch3": self.convolution(widths.five, 5, padding=2),
                "branch4": MaxPool(3, stride=1, padding=1),
            }
        )

    def head(self, classes: int) -> Sequential:
        return Sequential(
            {
                "pool": AdaptiveAvgPool(4) if self.torchvision else _head_pool(),
                "conv": self.convolution(128, 1),
                "flatten": Flatten(),
                "fc1": Linear(1024, start=self._start, bias_start=self._bias_start),
                "relu": ReLU(),
                "dropout": Dropout(0.7),
                "fc2": Linear(classes, start=self.last),
            }
        )


GOOGLENETS: dict[str, Kind] = {
    "googlenet": Kind(
        "GoogLeNet: inception modules with windows of three sizes side by side; 224×224×3",
        googlenet,
        (
            Option(
                "variant",
                forms.choice("paper", "torchvision"),
                "paper, or torchvision's: BatchNorm, and 3×3 windows in place of 5×5",
                default="paper",
            ),
            Option(
                "auxiliary",
                forms.boolean(),
                "two more classifiers in training, half-way up",
                default=True,
            ),
            Option(
                "naive",
                forms.boolean(),
                "modules without the 1×1 convolutions that keep them small",
                default=False,
            ),
            dropout_option(0.4),
            Option(
                "start",
                forms.choice("he", "xavier", "paper", "torchvision"),
                "random weights: he, xavier, Caffe's for the paper (xavier, biases of 0.2), or "
                "torchvision's (N(0, 0.01) cut at two deviations)",
                default="he",
            ),
        ),
    )
}
