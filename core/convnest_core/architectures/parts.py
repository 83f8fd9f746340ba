"""What several families share: options, the head with its dropout, the smallest image."""

from __future__ import annotations

from collections.abc import Iterable

from convnest_core import forms
from convnest_core.initialisers import Start
from convnest_core.kernels.windows import slid
from convnest_core.layers import (
    ELU,
    GELU,
    AvgPool,
    Conv2d,
    LeakyReLU,
    MaxPool,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from convnest_core.module import Module
from convnest_core.options import Option

# With the random weights that suit each.
ACTIVATIONS: dict[str, tuple[type[Module], Start]] = {
    "relu": (ReLU, "he"),
    "tanh": (Tanh, "xavier"),
    "sigmoid": (Sigmoid, "xavier"),
    "leaky_relu": (LeakyReLU, "he"),
    "elu": (ELU, "he"),
    "gelu": (GELU, "he"),
    "silu": (SiLU, "he"),
}
ACTIVATION = Option(
    "activation",
    forms.choice(*ACTIVATIONS),
    "relu, tanh, sigmoid, leaky_relu, elu, gelu or silu",
    default="relu",
)


def dropout_option(rate: float) -> Option:
    return Option(
        "dropout", forms.number(0, 1), "share of hidden values dropped in training", default=rate
    )


def start_option(paper: str, *, default: str = "he") -> Option:
    """How the weights start; `paper` says what the paper did."""
    return Option(
        "start",
        forms.choice("he", "xavier", "paper"),
        f"random weights: he, xavier, or the paper's: {paper}",
        default=default,
    )


def least_size(layers: Iterable[Module]) -> int:
    """Height and width of the smallest image that the windows of `layers`, in turn, fit into."""
    windows = [
        (layer.kernel, layer.stride, layer.padding, False)
        if isinstance(layer, Conv2d)
        else (layer.size, layer.stride, layer.padding, layer.ceil)
        for layer in layers
        if isinstance(layer, Conv2d | MaxPool | AvgPool)
    ]
    size = 1
    while True:
        left = size, size
        for kernel, stride, padding, ceil in windows:
            left = slid(left, kernel=kernel, stride=stride, padding=padding, ceil=ceil)
            if min(left) < 1:
                break
        else:
            return size
        size += 1
