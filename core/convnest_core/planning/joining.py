"""Concatenation without copying: each branch writes into its slice of the joined value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .graph import Adjust, Graph, Join, Node, Value


@dataclass(frozen=True)
class Slice:
    """The channels of `whole` from `first` on."""

    whole: Value
    first: int


def join_in_place(graph: Graph, slices: Mapping[Value, Slice]) -> Mapping[Value, Slice]:
    """Remove the `Join`s of a graph; returns `slices` and what the joins' inputs are slices of.

    An input that cannot be written there (the network's own, one in two joins) is copied.
    """
    slices = dict(slices)
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.operation, Join):
            nodes.append(node)
            continue
        first = 0
        for value in node.inputs:
            part = value
            if value is graph.input or value in slices:
                part = Value(value.shape)
                nodes.append(Node(Adjust(), (value,), part, node.path))
            slices[part] = Slice(node.output, first)
            first += value.shape[-1]
    graph.nodes = nodes
    return slices


def root(value: Value, slices: Mapping[Value, Slice]) -> tuple[Value, int]:
    """The value that is not a slice of another one, and where `value` begins in it."""
    first = 0
    while value in slices:
        first += slices[value].first
        value = slices[value].whole
    return value, first
