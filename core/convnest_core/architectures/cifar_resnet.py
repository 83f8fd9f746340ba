"""Residual networks for small images, and their plain twins (He et al. 2015, section 4.2)."""

from __future__ import annotations

from functools import partial

from convnest_core import forms
from convnest_core.combinators import Sequential
from convnest_core.layers import (
    BatchNorm,
    Conv2d,
    GlobalAvgPool,
    Linear,
    Logits,
    ReLU,
    Subsample,
)
from convnest_core.module import Module
from convnest_core.options import Kind, Option

from .resnet import basic, residual

_DEPTHS = (20, 32, 44, 56, 110, 1202)
_FILTERS = (16, 32, 64)


def cifar_resnet(
    classes: int, *, depth: int, residuals: bool = True, shortcut: str = "A"
) -> Sequential:
    """6n + 2 layers: three stages of n blocks with 16, 32 and 64 filters, for 32×32×3.

    269,722 parameters with 20 layers and ten classes. Where a stage halves the image, shortcut `A`
    takes every second pixel and adds channels of zeros, without parameters; `B` projects. Without
    `residuals` it is the plain network that residual learning was compared with.
    """
    children: dict[str, Module] = {
        "conv1": Conv2d(16, 3, padding=1, bias=False, start="he_out"),
        "bn1": BatchNorm(),
        "relu": ReLU(),
    }
    for stage, filters in enumerate(_FILTERS, 1):
        made: list[Module] = []
        for number in range((depth - 2) // 6):
            stride = 2 if stage > 1 and number == 0 else 1
            body = basic(filters, stride)
            if residuals:
                made.append(residual(body, _shortcut(filters, stride, shortcut)))
            else:
                made.append(Sequential({**body, "relu": ReLU()}))
        children[f"layer{stage}"] = Sequential(made)
    return Sequential(
        {
            **children,
            "avgpool": GlobalAvgPool(),
            "fc": Linear(classes, start="xavier"),
            "logits": Logits(classes),
        }
    )


def _shortcut(filters: int, stride: int, kind: str) -> dict[str, Module]:
    if stride == 1:
        return {"identity": Sequential([])}
    if kind == "A":
        return {"downsample": Subsample(filters, stride=stride)}
    conv = Conv2d(filters, 1, stride=stride, bias=False, start="he_out")
    return {"downsample": Sequential([conv, BatchNorm()])}


_SHORTCUT = Option(
    "shortcut",
    forms.choice("A", "B"),
    "where the image is halved: A takes pixels and zeros, B a projection with weights",
    default="A",
)
CIFAR_RESNETS: dict[str, Kind] = {
    **{
        f"resnet{depth}": Kind(
            f"ResNet with {depth} layers for small images; 32×32×3",
            partial(cifar_resnet, depth=depth),
            (_SHORTCUT,),
        )
        for depth in _DEPTHS
    },
    **{
        f"plain{depth}": Kind(
            f"resnet{depth} without its shortcuts, to see what they are good for; 32×32×3",
            partial(cifar_resnet, depth=depth, residuals=False),
        )
        for depth in _DEPTHS
    },
}
