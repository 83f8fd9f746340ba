"""From a module to a graph. A module of an unknown type becomes one `Apply` of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from convnest_core.arrays import Array, Shape
from convnest_core.auxiliary import Auxiliary
from convnest_core.combinators import Concat, Sequential, Sum
from convnest_core.kernels import kernel_set
from convnest_core.kernels.planned import Geometry
from convnest_core.kernels.simd.batch_vector import fewest_images
from convnest_core.kernels.windows import slid
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
    SpatialDropout,
)
from convnest_core.module import Module
from convnest_core.small_images import chain

from .graph import (
    Adjust,
    Apply,
    Chain,
    Connect,
    Convolve,
    Flat,
    Graph,
    Join,
    Normalise,
    Pool,
    Value,
)

_M = TypeVar("_M", bound=Module)

# By exact type, as a subclass may compute something else. Any: each takes its own type of module.
_LOWERINGS: dict[type[Module], Callable[[Graph, Any, Value], Value]] = {}


def lowered(module: Module, shape: Shape, *, images: int) -> Graph:
    """The graph of a built module for batches of up to `images` inputs of `shape`."""
    graph = Graph.of(shape, chains=chains_pay(images))
    graph.output = _lower(graph, module, graph.input)
    return graph


def chains_pay(images: int) -> bool:
    """Whether up to so many images may be worth a `Chain`, which fills its vectors with them."""
    return kernel_set() == "simd" and images >= fewest_images()


def _lower(graph: Graph, module: Module, x: Value) -> Value:
    known = _LOWERINGS.get(type(module))
    return _apply(graph, module, x) if known is None else known(graph, module, x)


def _lowers(
    kind: type[_M],
) -> Callable[[Callable[[Graph, _M, Value], Value]], Callable[[Graph, _M, Value], Value]]:
    def register(
        function: Callable[[Graph, _M, Value], Value],
    ) -> Callable[[Graph, _M, Value], Value]:
        _LOWERINGS[kind] = function
        return function

    return register


def _apply(graph: Graph, module: Module, x: Value) -> Value:
    return graph.add(Apply(module), x, shape=_shape(module), path=_path(module))


@_lowers(Sequential)
def _sequential(graph: Graph, module: Sequential, x: Value) -> Value:
    waiting = list(module.children().values())
    while waiting:
        together = chain(waiting) if graph.chains else None
        if together is None:
            x = _lower(graph, waiting.pop(0), x)
            continue
        chained, waiting = waiting[: len(together.modules)], waiting[len(together.modules) :]
        path = f"{_path(chained[0])} … {_path(chained[-1]).rpartition('.')[2]}"
        x = graph.add(Chain(Sequential(chained)), x, shape=_shape(chained[-1]), path=path)
    return x


@_lowers(Sum)
def _sum(graph: Graph, module: Sum, x: Value) -> Value:
    first, *others = [_lower(graph, branch, x) for branch in module.children().values()]
    for other in others:
        first = graph.add(Adjust(), first, other, shape=first.shape, path=_path(module))
    return first


@_lowers(Concat)
def _concat(graph: Graph, module: Concat, x: Value) -> Value:
    parts = [_lower(graph, branch, x) for branch in module.children().values()]
    return graph.add(Join(), *parts, shape=_shape(module), path=_path(module))


@_lowers(Conv2d)
def _convolution(graph: Graph, module: Conv2d, x: Value) -> Value:
    operation = Convolve(
        module.own_parameters()["weight"].value,
        _bias(module),
        Geometry(module.kernel, module.stride, module.padding, module.dilation),
        module.groups,
    )
    return graph.add(operation, x, shape=_shape(module), path=_path(module))


@_lowers(Linear)
def _linear(graph: Graph, module: Linear, x: Value) -> Value:
    operation = Connect(module.own_parameters()["weight"].value, _bias(module))
    return graph.add(operation, x, shape=_shape(module), path=_path(module))


@_lowers(BatchNorm)
def _batch_norm(graph: Graph, module: BatchNorm, x: Value) -> Value:
    parameters, buffers = module.own_parameters(), module.own_buffers()
    # In float64: the folded weights are then as exact as weights can be.
    deviation = np.sqrt(buffers["running_var"].astype(np.float64) + module.epsilon)
    scale = parameters["weight"].value / deviation
    shift = parameters["bias"].value - buffers["running_mean"] * scale
    dtype = parameters["weight"].value.dtype
    operation = Adjust(scale.astype(dtype), shift.astype(dtype))
    return graph.add(operation, x, shape=x.shape, path=_path(module))


@_lowers(ReLU)
def _relu(graph: Graph, module: ReLU, x: Value) -> Value:
    return graph.add(Adjust(activation="relu"), x, shape=x.shape, path=_path(module))


@_lowers(MaxPool)
def _max_pool(graph: Graph, module: MaxPool, x: Value) -> Value:
    geometry = Geometry(module.size, module.stride, module.padding)
    return graph.add(Pool(geometry, "largest"), x, shape=_shape(module), path=_path(module))


@_lowers(AvgPool)
def _average_pool(graph: Graph, module: AvgPool, x: Value) -> Value:
    geometry = Geometry(module.size, module.stride, module.padding)
    inside = slid(
        (x.shape[0], x.shape[1]), kernel=module.size, stride=module.stride, padding=(0, 0)
    )
    if _shape(module)[:2] != inside or any(module.padding):
        return _apply(
            graph, module, x
        )  # what its windows count outside the image is its own affair
    return graph.add(Pool(geometry, "mean"), x, shape=_shape(module), path=_path(module))


@_lowers(GlobalAvgPool)
def _global_pool(graph: Graph, module: GlobalAvgPool, x: Value) -> Value:
    operation = Pool(Geometry((x.shape[0], x.shape[1])), "mean")
    return graph.add(operation, x, shape=_shape(module), path=_path(module))


@_lowers(LocalResponseNorm)
def _response_norm(graph: Graph, module: LocalResponseNorm, x: Value) -> Value:
    operation = Normalise(module.size, module.alpha, module.beta, module.k)
    return graph.add(operation, x, shape=x.shape, path=_path(module))


@_lowers(Flatten)
def _flatten(graph: Graph, module: Flatten, x: Value) -> Value:
    return graph.add(Flat(), x, shape=_shape(module), path=_path(module))


@_lowers(AdaptiveAvgPool)
def _adaptive_pool(graph: Graph, module: AdaptiveAvgPool, x: Value) -> Value:
    return x if x.shape == _shape(module) else _apply(graph, module, x)


def _nothing(graph: Graph, module: Module, x: Value) -> Value:  # noqa: ARG001
    return x


for _kind in (Auxiliary, Dropout, Logits, SpatialDropout):
    _LOWERINGS[_kind] = _nothing


def _bias(module: Module) -> Array | None:
    bias = module.own_parameters().get("bias")
    return None if bias is None else bias.value


def _shape(module: Module) -> Shape:
    assert module.built is not None
    return module.built.output_shape


def _path(module: Module) -> str:
    assert module.built is not None
    return module.built.path
