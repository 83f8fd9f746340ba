"""Fewer, larger operations: what follows a product joins it.

BatchNorm's scale and shift go into the weights before it (the product becomes another product);
a sum and a ReLU are applied to each tile of the result while it is in the cache.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from convnest_core.arrays import Array

from .graph import Adjust, Connect, Convolve, Graph, Node, Value


def fuse(graph: Graph) -> None:
    """Merge each `Adjust` into the node before it, wherever nothing else reads between them."""
    uses = graph.uses()
    makers: dict[Value, Node] = {}  # in the order in which they run
    for node in graph.nodes:
        merged = _merged(node, makers, uses) or node
        makers[merged.output] = merged
    graph.nodes = list(makers.values())


def _merged(node: Node, makers: dict[Value, Node], uses: Counter[Value]) -> Node | None:
    """`node` and one maker of its inputs as one node that runs in its place; the maker is gone."""
    if not isinstance(node.operation, Adjust):
        return None
    for place, value in enumerate(node.inputs):
        maker = makers.get(value)
        if maker is None or uses[value] > 1:
            continue
        operation = _with(maker, node.operation)
        if operation is None:
            continue
        others = node.inputs[:place] + node.inputs[place + 1 :]
        if others and len(maker.inputs) > 1:
            continue  # it adds one residual already
        del makers[value]
        return Node(operation, maker.inputs + others, node.output, _both(maker.path, node.path))
    return None


def _with(maker: Node, then: Adjust) -> Convolve | Connect | Adjust | None:
    """What the maker computes, followed by `then`, as one operation; None if there is none."""
    operation = maker.operation
    if not isinstance(operation, Convolve | Connect | Adjust) or operation.activation is not None:
        return None
    if then.scale is None and then.shift is None:
        return replace(operation, activation=then.activation)
    if len(maker.inputs) > 1 or isinstance(operation, Adjust):
        return None
    return replace(
        operation,
        scale=_scaled(operation.scale, then),
        b=_shifted(operation.b, then),
        activation=then.activation,
    )


def _scaled(scale: Array | None, then: Adjust) -> Array | None:
    return then.scale if scale is None else scale if then.scale is None else scale * then.scale


def _shifted(bias: Array | None, then: Adjust) -> Array | None:
    if bias is not None and then.scale is not None:
        bias = bias * then.scale
    return then.shift if bias is None else bias if then.shift is None else bias + then.shift


def _both(first: str, second: str) -> str:
    """Two paths in short: `layer1.0.conv1 + bn1`."""
    parent = first.split(" + ")[0].rpartition(".")[0]
    return f"{first} + {second.removeprefix(f'{parent}.') if parent else second}"
