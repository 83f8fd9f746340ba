"""Convolutions of small images, each with its ReLU and pooling, as one chain of kernels.

A run such as LeNet's conv-ReLU-pool-conv-ReLU-pool-flatten goes through the kernels of
`kernels.simd.batch_vector` without leaving their layout in between. The modules stay what they are:
a chain reads their parameters and adds to their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Backward, Pair, unread
from .kernels.simd import batch_vector
from .kernels.simd.batch_vector import Blocks, Kept, Stage
from .layers.activation import ReLU
from .layers.convolution import Conv2d
from .layers.pooling import MaxPool
from .layers.reshaping import Flatten
from .module import Module
from .run import Run

_MOST_PIXELS = 64 * 64
_MOST_CHANNELS = 16
_MOST_FILTERS = 32


def _suits(stage: Stage) -> bool:
    """Whether a convolution is quicker with the batch along the vectors: few channels, small image.

    Where 3×3 kernels have 16 channels, Winograd's algorithm is ahead.
    """
    height, width = stage.size
    most = _MOST_CHANNELS - 1 if stage.kernel == (3, 3) else _MOST_CHANNELS
    return (
        height * width <= _MOST_PIXELS
        and stage.channels <= most
        and stage.filters <= _MOST_FILTERS
        and all(p < k for p, k in zip(stage.padding, stage.kernel, strict=True))
    )


@dataclass(frozen=True)
class Chain:
    """Modules that follow each other, as one."""

    modules: Sequence[Module]
    convolutions: Sequence[Conv2d]
    stages: Sequence[Stage]

    def __call__(self, x: Array) -> Array:
        return self._result(x, self._forward(x)[-1].y)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        kept = self._forward(x)
        nothing = unread(x)

        def backward(dy: Array) -> Array:
            dx = self._backward(kept, self._images(dy), run)
            if dx is None:
                return nothing
            return batch_vector.leave(dx, np.empty(nothing.shape, nothing.dtype))

        return self._result(x, kept[-1].y), backward

    def _forward(self, x: Array) -> list[Kept]:
        self.modules[0].expect(x)
        blocks = batch_vector.enter(x, border=batch_vector.border_of(self.stages))
        kept = []
        for convolution, stage in zip(self.convolutions, self.stages, strict=True):
            parameters = convolution.own_parameters()
            weight, bias = parameters["weight"], parameters.get("bias")
            b = None if bias is None else bias.value
            kept.append(batch_vector.forward(stage, blocks, weight.value, b))
            blocks = kept[-1].y
        return kept

    def _backward(self, kept: list[Kept], dy: Array, run: Run) -> Blocks | None:
        """Add to the parameters' gradients; returns the input's, if somebody reads it."""
        trained = [
            not all(one.frozen for one in convolution.own_parameters().values())
            for convolution in self.convolutions
        ]
        gradient: Blocks | None = batch_vector.enter(dy, border=0)
        for index in reversed(range(len(kept))):
            if gradient is None:
                break
            parameters = self.convolutions[index].own_parameters()
            weight, bias = parameters["weight"], parameters.get("bias")
            gradient, dw, db = batch_vector.backward(
                kept[index],
                weight.value,
                gradient,
                input_gradient=run.input_gradient or any(trained[:index]),
                weight_gradient=trained[index],
                bias=bias is not None,
            )
            if dw is not None:
                weight.grad += dw
            if bias is not None and db is not None:
                bias.grad += db
        return gradient

    def _result(self, x: Array, blocks: Blocks) -> Array:
        values = blocks.size[0] * blocks.size[1] * blocks.channels
        if type(self.modules[-1]) is Flatten:
            y = np.empty((len(x), values), x.dtype)
            batch_vector.leave(blocks, self._images(y))
            return y
        return batch_vector.leave(
            blocks, np.empty((len(x), *blocks.size, blocks.channels), x.dtype)
        )

    def _images(self, y: Array) -> Array:
        """A view of this chain's outputs, or their gradients, as [N, H, W, C]."""
        if y.ndim == 4:
            return y
        last = self.stages[-1]
        return y.reshape(len(y), last.filters, *last.result).transpose(0, 2, 3, 1)


def chain_for(x: Array, modules: Sequence[Module]) -> Chain | None:
    """`chain`, where a batch x has images enough."""
    if not modules or type(modules[0]) is not Conv2d or x.dtype != np.float32:
        return None
    found = chain(modules)
    return found if found and len(x) >= batch_vector.fewest_images() else None


def chain(modules: Sequence[Module]) -> Chain | None:
    """The modules from the first on that are quicker as one for images enough; None if none are.

    A chain pools: without that, its layout does not pay.
    """
    convolutions: list[Conv2d] = []
    stages: list[Stage] = []
    taken = 0
    while found := _stage(modules[taken:]):
        convolution, stage = found
        convolutions.append(convolution)
        stages.append(stage)
        taken += 2 + stage.pooled
    if not any(stage.pooled for stage in stages):
        return None
    if taken < len(modules) and type(modules[taken]) is Flatten:
        taken += 1
    return Chain(modules[:taken], convolutions, stages)


def _stage(modules: Sequence[Module]) -> tuple[Conv2d, Stage] | None:
    """The convolution that `modules` begin with and its ReLU, its pooling too if it is of 2×2."""
    if len(modules) < 2 or type(modules[0]) is not Conv2d or type(modules[1]) is not ReLU:
        return None
    convolution, built = modules[0], modules[0].built
    if built is None or built.dtype != np.float32:
        return None
    if not convolution.stride == convolution.dilation == (1, 1):
        return None
    height, width, channels = built.input_shape
    stage = Stage(
        channels,
        convolution.filters,
        convolution.kernel,
        convolution.padding,
        (height, width),
        rectified=True,
        pooled=False,
    )
    if convolution.groups > 1 or not _suits(stage):
        return None
    pooled = len(modules) > 2 and _halves(modules[2], stage.convolved)
    return convolution, replace(stage, pooled=pooled)


def _halves(module: Module, size: Pair) -> bool:
    """Whether it is a max pooling whose windows of 2×2 neither overlap nor leave the image."""
    return (
        type(module) is MaxPool
        and module.size == module.stride == (2, 2)
        and module.padding == (0, 0)
        and not (module.ceil and any(extent % 2 for extent in size))
        and min(size) > 1
    )
