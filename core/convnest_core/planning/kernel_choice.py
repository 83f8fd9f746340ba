"""From a graph's operation to the kernel that does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, DType
from convnest_core.kernels.planned import (
    WHOLE,
    Algorithm,
    Kernel,
    Packing,
    Share,
    Weights,
    algorithm,
    convolution,
    linear,
    pixels,
    pooling,
    response_norm,
)
from convnest_core.module import Module

from .graph import Adjust, Apply, Chain, Connect, Convolve, Flat, Join, Node, Normalise, Pool


class Kernels:
    """The kernels of one graph's nodes, none of them made twice."""

    def __init__(self, dtype: DType, pack: Packing) -> None:
        self._dtype, self._pack = dtype, pack
        self._made: dict[tuple[Node, Algorithm | None], Kernel] = {}

    def of(self, node: Node, *, images: int) -> Kernel:
        """The kernel for up to `images` images at a time."""
        key = node, _algorithm(node, images)
        if key not in self._made:
            self._made[key] = kernel_for(node, self._dtype, images=images, pack=self._pack)
        return self._made[key]


def _algorithm(node: Node, images: int) -> Algorithm | None:
    if not isinstance(node.operation, Convolve):
        return None
    height, width, _ = node.output.shape
    shape = node.operation.w.shape
    filters = shape[3] // node.operation.groups
    return algorithm(
        (*shape[:3], filters),
        node.operation.geometry,
        size=(height, width),
        images=images,
        dtype=node.operation.w.dtype,
    )


def kernel_for(node: Node, dtype: DType, *, images: int, pack: Packing) -> Kernel:
    """The kernel for a node that takes up to `images` images at a time; it packs the weights."""
    match node.operation:
        case Convolve() as conv:
            height, width, _ = node.output.shape
            return convolution(
                Weights(conv.w, conv.scale, pack),
                conv.b,
                conv.geometry,
                activation=conv.activation,
                groups=conv.groups,
                size=(height, width),
                images=images,
            )
        case Connect() as connect:
            w = Weights(connect.w, connect.scale, pack)
            return linear(w, connect.b, activation=connect.activation)
        case Adjust() as adjust:
            return pixels(adjust.scale, adjust.shift, adjust.activation, dtype=dtype)
        case Pool() as pool:
            kernel = pooling(pool.geometry, pool.of, dtype=dtype)
            return kernel if len(node.output.shape) == 3 else _AsVector(kernel)
        case Normalise(size, alpha, beta, k):
            return response_norm(size, alpha, beta, k, dtype=dtype)
        case Flat():
            return _Flatten()
        case Apply() as apply:
            return _Applied(apply.module, f"{apply.module.kind} as it is")
        case Chain(modules):
            return _Applied(modules, "batch as vectors")
        case Join():
            raise AssertionError("joins are gone before kernels are chosen")


@dataclass(frozen=True)
class _Flatten:
    algorithm = "copy"

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """x [N, H, W, C] to out [N, C · H · W]."""
        channels_first = np.moveaxis(x, -1, 1)
        own = share.of(channels_first.shape[1])
        np.copyto(out.reshape(channels_first.shape)[:, own], channels_first[:, own])


@dataclass(frozen=True, eq=False)
class _AsVector:
    """A kernel that leaves one pixel of each image, which counts as a vector."""

    kernel: Kernel

    @property
    def algorithm(self) -> str:
        return self.kernel.algorithm

    def __call__(
        self, x: Array, out: Array, residual: Array | None = None, share: Share = WHOLE
    ) -> None:
        """x [N, H, W, C] to out [N, C]."""
        added = None if residual is None else residual[:, None, None]
        self.kernel(x, out[:, None, None], added, share)


@dataclass(frozen=True, eq=False)
class _Applied:
    module: Module
    algorithm: str

    def __call__(
        self,
        x: Array,
        out: Array,
        residual: Array | None = None,  # noqa: ARG002
        share: Share = WHOLE,
    ) -> None:
        """Shared by images alone: of a module nothing else is known."""
        own = share.of(len(x))
        if own.start < own.stop:
            np.copyto(out[own], self.module(x[own]))
