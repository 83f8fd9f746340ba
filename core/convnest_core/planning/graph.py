"""A network as a list of operations on values: what a plan is made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from convnest_core.arrays import Array, Shape
from convnest_core.combinators import Sequential
from convnest_core.kernels.planned import Activation, Geometry
from convnest_core.module import Module


@dataclass(eq=False)
class Value:
    """What one operation gives to others: an array of `shape` for each image."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Convolve:
    """w [kh, kw, C / groups, O], times scale [O]."""

    w: Array
    b: Array | None
    geometry: Geometry
    groups: int = 1
    scale: Array | None = None
    activation: Activation | None = None


@dataclass(frozen=True, eq=False)
class Connect:
    """w [in, out], times scale [out]."""

    w: Array
    b: Array | None
    scale: Array | None = None
    activation: Activation | None = None


@dataclass(frozen=True, eq=False)
class Adjust:
    """activation(x · scale + shift [+ the second input]): BatchNorm, ReLU, a sum, a copy."""

    scale: Array | None = None
    shift: Array | None = None
    activation: Activation | None = None


@dataclass(frozen=True)
class Pool:
    geometry: Geometry
    of: Literal["largest", "mean"]


@dataclass(frozen=True)
class Normalise:
    """x · (k + α/size · Σ x²)⁻ᵝ, the sum over `size` neighbouring channels."""

    size: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class Flat:
    """An image as a vector, channel by channel."""


@dataclass(frozen=True)
class Join:
    """All inputs side by side along the channels."""


@dataclass(frozen=True, eq=False)
class Apply:
    """What the module itself makes of it: for every layer that has no operation of its own."""

    module: Module


@dataclass(frozen=True, eq=False)
class Chain:
    """Convolutions of small images and what is between them, which are quicker as one."""

    modules: Sequential


Operation: TypeAlias = Convolve | Connect | Adjust | Pool | Normalise | Flat | Join | Apply | Chain


@dataclass(frozen=True, eq=False)
class Node:
    """One operation. The second input, if any, is a residual that is added (`Join` has many)."""

    operation: Operation
    inputs: tuple[Value, ...]
    output: Value
    path: str


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run, from `input` to `output`.

    `chains` says whether it may have any `Chain`.
    """

    input: Value
    output: Value
    chains: bool = False
    nodes: list[Node] = field(default_factory=list)

    @staticmethod
    def of(shape: Shape, *, chains: bool = False) -> Graph:
        """An empty graph."""
        start = Value(shape)
        return Graph(start, start, chains)

    def add(self, operation: Operation, *inputs: Value, shape: Shape, path: str) -> Value:
        """Append a node and return its output."""
        output = Value(shape)
        self.nodes.append(Node(operation, inputs, output, path))
        return output

    def uses(self) -> Counter[Value]:
        """How often each value is read; the output counts as read once more."""
        counted = Counter(value for node in self.nodes for value in node.inputs)
        counted[self.output] += 1
        return counted
