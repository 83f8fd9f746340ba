"""Convolutions of single pixels that read the same value, as one: inception's reductions.

Their filters side by side make one product, which reads the pixels once; each of them is a slice of
the result. One whose result is joined with others stays by itself: it writes to its place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.planned import Activation, Geometry

from .graph import Convolve, Graph, Join, Node, Value
from .joining import Slice


def merge_siblings(graph: Graph) -> dict[Value, Slice]:
    """Merge such nodes; returns what their outputs are slices of."""
    kept = {graph.output}
    for node in graph.nodes:
        if isinstance(node.operation, Join):
            kept.update(node.inputs)
    siblings: dict[tuple[Value, Activation | None], list[Node]] = {}
    for node in graph.nodes:
        operation = node.operation
        if not isinstance(operation, Convolve) or node.output in kept:
            continue
        if _is_alone(node, operation):
            siblings.setdefault((node.inputs[0], operation.activation), []).append(node)
    slices: dict[Value, Slice] = {}
    for some in siblings.values():
        if len(some) > 1:
            merged = _merged(some)
            graph.nodes[graph.nodes.index(some[0])] = merged
            graph.nodes = [node for node in graph.nodes if node not in some]
            first = 0
            for node in some:
                slices[node.output] = Slice(merged.output, first)
                first += node.output.shape[-1]
    return slices


def _is_alone(node: Node, operation: Convolve) -> bool:
    """Whether nothing but its pixel and its filters makes each value."""
    plain = operation.geometry == Geometry((1, 1)) and operation.groups == 1
    return plain and len(node.inputs) == 1


def _merged(nodes: Sequence[Node]) -> Node:
    operations = [node.operation for node in nodes if isinstance(node.operation, Convolve)]
    widths = [operation.w.shape[3] for operation in operations]
    operation = replace(
        operations[0],
        w=np.concatenate([one.w for one in operations], axis=3),
        b=_side_by_side([one.b for one in operations], widths, otherwise=0),
        scale=_side_by_side([one.scale for one in operations], widths, otherwise=1),
    )
    output = Value((*nodes[0].output.shape[:-1], sum(widths)))
    path = " | ".join(node.path for node in nodes)
    return Node(operation, nodes[0].inputs, output, path)


def _side_by_side(
    vectors: Sequence[Array | None], widths: Sequence[int], *, otherwise: float
) -> Array | None:
    given = [vector for vector in vectors if vector is not None]
    if not given:
        return None
    return np.concatenate(
        [
            np.full(width, otherwise, given[0].dtype) if vector is None else vector
            for vector, width in zip(vectors, widths, strict=True)
        ]
    )
