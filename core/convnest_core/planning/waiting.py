"""Before which steps the members of a team have to meet.

A member may run ahead of others as long as what it reads is written, and what it writes is nobody's
any more. Members part each value in their own ways, so a step that touches memory which another
step since the last meeting wrote (or writes to what one read) has to wait for all of them. What is
left are steps that read the same value and write side by side: the branches of an inception block.
"""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Graph, Node
from .memory import Layout, Span
from .segments import Segment


def waits(graph: Graph, layout: Layout, segments: Sequence[Segment]) -> set[Node]:
    """The nodes before which to meet, each segment's first one included."""
    waiting: set[Node] = set()
    read: list[Span] = []
    written: list[Span] = []
    begins = {segment.first for segment in segments}
    for index, node in enumerate(graph.nodes):
        # Nobody writes to the network's input.
        reads = [layout.span(value) for value in node.inputs if value is not graph.input]
        write = layout.span(node.output)
        if (
            index in begins
            or any(one.meets(other) for one in written for other in (*reads, write))
            or any(one.meets(write) for one in read)
        ):
            waiting.add(node)
            read, written = [], []
        read += reads
        written.append(write)
    return waiting
