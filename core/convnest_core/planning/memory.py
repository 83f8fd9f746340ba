"""Where values lie: one arena, in which values that are never alive together share a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, DType

from .graph import Graph, Value
from .joining import Slice, root
from .segments import Segment

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


@dataclass(frozen=True)
class Place:
    """A value's place: `images` of it in `size` bytes from byte `offset` on."""

    offset: int
    size: int
    images: int


@dataclass(frozen=True)
class Span:
    """The memory of a value: these channels of a whole one."""

    whole: Value
    place: Place
    channels: range

    def meets(self, other: Span) -> bool:
        """Whether they have memory in common."""
        if self.whole is other.whole:
            return _overlap(self.channels, other.channels)
        one, two = (range(p.offset, p.offset + p.size) for p in (self.place, other.place))
        return _overlap(one, two)


def _overlap(one: range, two: range) -> bool:
    return one.start < two.stop and two.start < one.stop


@dataclass(frozen=True)
class Layout:
    """The places of all values that are not slices of others, the network's input left out."""

    places: Mapping[Value, Place]
    slices: Mapping[Value, Slice]
    size_bytes: int

    def span(self, value: Value) -> Span:
        """Where a value or slice lies."""
        whole, first = root(value, self.slices)
        return Span(whole, self.places[whole], range(first, first + value.shape[-1]))

    @property
    def arena_bytes(self) -> int:
        """The size of an arena, which need not be aligned."""
        return self.size_bytes + _ALIGNMENT

    def arrays(
        self, dtype: DType, arena: npt.NDArray[np.uint8] | None = None
    ) -> dict[Value, Array]:
        """All values and slices, as views of one arena: the given or a fresh one."""
        if arena is None:
            arena = np.empty(self.arena_bytes, np.uint8)
        start = -arena.ctypes.data % _ALIGNMENT
        arrays: dict[Value, Array] = {}
        for value, place in self.places.items():
            first = start + place.offset
            part = arena[first : first + place.size].view(dtype)
            arrays[value] = part.reshape(place.images, *value.shape)
        for value in self.slices:
            whole, first = root(value, self.slices)
            arrays[value] = arrays[whole][..., first : first + value.shape[-1]]
        return arrays


def laid_out(
    graph: Graph,
    slices: Mapping[Value, Slice],
    segments: Sequence[Segment],
    *,
    max_batch: int,
    itemsize: int,
) -> Layout:
    """Places by first fit, largest values first."""
    spans = _spans(graph, slices, segments)
    images = _images(graph, slices, segments, max_batch)
    sizes = {value: images[value] * prod(value.shape) * itemsize for value in spans}
    places: dict[Value, Place] = {}
    end = 0
    for value in sorted(spans, key=lambda value: -sizes[value]):
        rivals = sorted(
            (places[other].offset, places[other].offset + sizes[other])
            for other in places
            if spans[other][0] <= spans[value][1] and spans[value][0] <= spans[other][1]
        )
        offset = 0
        for begins, ends in rivals:
            if begins - offset >= sizes[value]:
                break
            offset = max(offset, -(-ends // _ALIGNMENT) * _ALIGNMENT)
        places[value] = Place(offset, sizes[value], images[value])
        end = max(end, offset + sizes[value])
    return Layout(places, slices, end)


def _images(
    graph: Graph, slices: Mapping[Value, Slice], segments: Sequence[Segment], max_batch: int
) -> dict[Value, int]:
    """How many images of each value are held: the whole batch where segments meet."""
    held: dict[Value, int] = {root(graph.output, slices)[0]: max_batch}
    home: dict[Value, Segment] = {}
    for segment in segments:
        for node in graph.nodes[segment.first : segment.last]:
            for value in (*node.inputs, node.output):
                whole = root(value, slices)[0]
                if home.setdefault(whole, segment) is not segment:
                    held[whole] = max_batch
                held.setdefault(whole, segment.images)
    return held


def _spans(
    graph: Graph, slices: Mapping[Value, Slice], segments: Sequence[Segment]
) -> dict[Value, tuple[int, int]]:
    """The first and the last node that touches each value.

    A segment's chunks go through all its nodes in turn, so what passes a cut is touched by all of
    the segments at both sides of it.
    """
    spans: dict[Value, tuple[int, int]] = {}
    homes: dict[Value, list[Segment]] = {}
    for segment in segments:
        for index in range(segment.first, segment.last):
            node = graph.nodes[index]
            for value in (*node.inputs, node.output):
                whole = root(value, slices)[0]
                if whole is graph.input:
                    continue
                spans[whole] = spans.get(whole, (index, index))[0], index
                known = homes.setdefault(whole, [])
                if segment not in known:
                    known.append(segment)
    result = root(graph.output, slices)[0]
    for value, known in homes.items():
        if len(known) > 1:
            spans[value] = known[0].first, known[-1].last - 1
        if value is result:
            spans[value] = known[0].first, len(graph.nodes)
    return spans
