"""Residual networks for ImageNet (He, Zhang, Ren, Sun 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from convnest_core import forms
from convnest_core.combinators import Sequential, Sum
from convnest_core.layers import (
    BatchNorm,
    Conv2d,
    GlobalAvgPool,
    Linear,
    Logits,
    MaxPool,
    ReLU,
)
from convnest_core.module import Module
from convnest_core.options import Kind, Option

_FILTERS = (64, 128, 256, 512)
# Blocks of each stage, whether they are bottlenecks, and parameters for 1000 classes.
_DEPTHS: dict[int, tuple[tuple[int, int, int, int], bool, str]] = {
    18: ((2, 2, 2, 2), False, "11,689,512"),
    34: ((3, 4, 6, 3), False, "21,797,672"),
    50: ((3, 4, 6, 3), True, "25,557,032"),
    101: ((3, 4, 23, 3), True, "44,549,160"),
    152: ((3, 8, 36, 3), True, "60,192,808"),
}


def resnet(classes: int, *, depth: int, stride_in: str = "3x3") -> Sequential:
    """ResNet with `depth` layers that have weights, for 224×224×3; any image will do.

    Shortcuts are the identity, or a projection where sizes change (option B). From depth 50, blocks
    are bottlenecks; `stride_in` says which of their convolutions halves the image.
    """
    blocks, bottleneck, _ = _DEPTHS[depth]
    children: dict[str, Module] = {
        "conv1": _conv(64, 7, stride=2),
        "bn1": BatchNorm(),
        "relu": ReLU(),
        "maxpool": MaxPool(3, stride=2, padding=1),
    }
    channels = 64
    for stage, (filters, count) in enumerate(zip(_FILTERS, blocks, strict=True), 1):
        made: list[Module] = []
        for number in range(count):
            stride = 2 if stage > 1 and number == 0 else 1
            out = 4 * filters if bottleneck else filters
            body = _bottleneck(filters, stride, stride_in) if bottleneck else basic(filters, stride)
            shortcut: dict[str, Module] = (
                {"identity": Sequential([])}
                if stride == 1 and channels == out
                else {"downsample": Sequential([_conv(out, 1, stride=stride), BatchNorm()])}
            )
            made.append(residual(body, shortcut))
            channels = out
        children[f"layer{stage}"] = Sequential(made)
    return Sequential(
        {
            **children,
            "avgpool": GlobalAvgPool(),
            "fc": Linear(classes, start="xavier"),
            "logits": Logits(classes),
        }
    )


def residual(body: Mapping[str, Module], shortcut: Mapping[str, Module]) -> Sequential:
    """relu(body + shortcut); the body's layers are named as if they were the block's own."""
    return Sequential({"": Sum({"": Sequential(body), **shortcut}), "relu": ReLU()})


def basic(filters: int, stride: int) -> dict[str, Module]:
    """Two 3×3 convolutions, the first of which halves the image where `stride` is 2."""
    return {
        "conv1": _conv(filters, 3, stride=stride),
        "bn1": BatchNorm(),
        "relu1": ReLU(),
        "conv2": _conv(filters, 3),
        "bn2": BatchNorm(),
    }


def _bottleneck(filters: int, stride: int, stride_in: str) -> dict[str, Module]:
    first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
    return {
        "conv1": _conv(filters, 1, stride=first),
        "bn1": BatchNorm(),
        "relu1": ReLU(),
        "conv2": _conv(filters, 3, stride=second),
        "bn2": BatchNorm(),
        "relu2": ReLU(),
        "conv3": _conv(4 * filters, 1),
        "bn3": BatchNorm(),
    }


def _conv(filters: int, kernel: int, *, stride: int = 1) -> Conv2d:
    return Conv2d(filters, kernel, stride=stride, padding=kernel // 2, bias=False, start="he_out")


_STRIDE_IN = Option(
    "stride_in",
    forms.choice("3x3", "1x1"),
    "the convolution that halves the image: 3x3 as torchvision, 1x1 as the paper",
    default="3x3",
)
RESNETS: dict[str, Kind] = {
    f"resnet{depth}": Kind(
        f"ResNet with {depth} layers: residual blocks; 224×224×3, {parameters} parameters",
        partial(resnet, depth=depth),
        (_STRIDE_IN,) if bottleneck else (),
    )
    for depth, (_, bottleneck, parameters) in _DEPTHS.items()
}
