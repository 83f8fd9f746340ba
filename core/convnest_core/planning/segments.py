"""How many images at a time: few where images are large, so that they stay in the cache.

A network is cut where only one value passes from what is before to what is behind. Each segment
runs over the batch in chunks of its own; only values at the cuts are held for the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from .graph import Connect, Convolve, Graph, Node, Value
from .joining import Slice, root

_CHUNK_BYTES = 1 << 21  # two cores' L2 caches; what passes between operations should stay there


@dataclass(frozen=True)
class Segment:
    """Nodes first … last-1, over `images` of the batch at a time."""

    first: int
    last: int
    images: int


def segmented(
    graph: Graph, slices: Mapping[Value, Slice], *, max_batch: int, itemsize: int
) -> list[Segment]:
    """Cut a graph whose joins are slices."""
    wanted = [min(max_batch, _images(node, itemsize)) for node in graph.nodes]
    segments: list[Segment] = []
    first = 0
    for last in [*_cuts(graph, slices), len(graph.nodes)]:
        images = max(wanted[first:last], default=max_batch)
        if segments and segments[-1].images == images:
            segments[-1] = Segment(segments[-1].first, last, images)
        else:
            segments.append(Segment(first, last, images))
        first = last
    return segments


def _images(node: Node, itemsize: int) -> int:
    """The power of two at which values fill the cache, or outweigh the weights that are read."""
    values = sum(prod(value.shape) for value in (*node.inputs, node.output)) * itemsize
    operation = node.operation
    weights = operation.w.nbytes if isinstance(operation, Convolve | Connect) else 0
    fitting: int = 1 << max(0, (max(_CHUNK_BYTES, 2 * weights) // values).bit_length() - 1)
    return fitting


def _cuts(graph: Graph, slices: Mapping[Value, Slice]) -> Sequence[int]:
    """The places between nodes at which a single value is alive (behind the first node)."""
    last_read = {root(value, slices)[0]: i for i, n in enumerate(graph.nodes) for value in n.inputs}
    last_read[root(graph.output, slices)[0]] = len(graph.nodes)
    alive: set[Value] = {graph.input}
    cuts = []
    for index, node in enumerate(graph.nodes):
        alive.add(root(node.output, slices)[0])
        alive = {value for value in alive if last_read.get(value, -1) > index}
        if len(alive) == 1 and index + 1 < len(graph.nodes):
            cuts.append(index + 1)
    return cuts
