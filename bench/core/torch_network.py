"""One of our networks in PyTorch: the same layers in the same order, with the same weights.

So that both sides of a comparison compute the same thing, whatever the network's options.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from convnest_core import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    Logits,
    MaxPool,
    Module,
    ReLU,
    Sequential,
    Subsample,
    Sum,
)
from convnest_core.auxiliary import Auxiliary
from convnest_core.layers import GlobalAvgPool
from torch import nn


class _Sum(nn.Module):
    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *others = [branch(x) for branch in self.branches]
        for other in others:
            first = first + other
        return first


class _Concat(nn.Module):
    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class _Subsample(nn.Module):
    def __init__(self, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down, right = self.stride
        missing = self.channels - x.shape[1]
        return nn.functional.pad(x[:, :, ::down, ::right], (0, 0, 0, 0, 0, missing))


def in_torch(module: Module) -> nn.Module:
    """The counterpart of a built module."""
    layers = _layers(module)
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def folded(network: nn.Module) -> nn.Module:
    """The network with every BatchNorm behind a convolution folded into it, for evaluation."""
    for name, child in network.named_children():
        setattr(network, name, folded(child))
    if not isinstance(network, nn.Sequential):
        return network
    layers = list(network)
    for index, (first, second) in enumerate(pairwise(list(network))):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            layers[index] = nn.utils.fusion.fuse_conv_bn_eval(first.eval(), second.eval())
            layers[index + 1] = nn.Identity()
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Identity)))


def _layers(module: Module) -> list[nn.Module]:
    match module:
        case Sequential():
            return [layer for child in module.children().values() for layer in _layers(child)]
        case Logits() | Auxiliary():
            return []
    layer = _layer(module)
    state = {name: torch.from_numpy(array) for name, array in _own_state(module).items()}
    if state:
        layer.load_state_dict(state, strict=False)
    return [layer]


def _layer(module: Module) -> nn.Module:
    match module:
        case Sum():
            return _Sum([in_torch(branch) for branch in module.children().values()])
        case Concat():
            return _Concat([in_torch(branch) for branch in module.children().values()])
        case Conv2d():
            assert module.built is not None
            return nn.Conv2d(
                module.built.input_shape[2],
                module.filters,
                module.kernel,
                module.stride,
                module.padding,
                module.dilation,
                module.groups,
                "bias" in module.own_parameters(),
            )
        case Linear():
            assert module.built is not None
            biased = "bias" in module.own_parameters()
            return nn.Linear(module.built.input_shape[0], module.features, biased)
        case BatchNorm():
            assert module.built is not None
            return nn.BatchNorm2d(module.built.input_shape[-1], module.epsilon, module.momentum)
        case MaxPool():
            return nn.MaxPool2d(module.size, module.stride, module.padding, ceil_mode=module.ceil)
        case AvgPool():
            return nn.AvgPool2d(module.size, module.stride, module.padding, ceil_mode=module.ceil)
        case AdaptiveAvgPool():
            return nn.AdaptiveAvgPool2d(module.size)
        case GlobalAvgPool():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case LocalResponseNorm():
            return nn.LocalResponseNorm(module.size, module.alpha, module.beta, module.k)
        case Subsample():
            return _Subsample(module.channels, module.stride)
        case Dropout():
            return nn.Dropout(module.rate)
        case Flatten():
            return nn.Flatten()
        case ReLU():
            return nn.ReLU(inplace=True)
    raise NotImplementedError(f"{module.kind} has no counterpart here yet")


def _own_state(module: Module) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    if module.children():
        return {}
    parameters = {name: one.stored() for name, one in module.own_parameters().items()}
    return {**parameters, **{name: one.copy() for name, one in module.own_buffers().items()}}
