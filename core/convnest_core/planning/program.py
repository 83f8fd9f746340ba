"""A compiled network without memory of its own: kernel calls in order, and where values lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from convnest_core.arrays import Array, DType, Shape
from convnest_core.kernels.planned import WHOLE, Kernel, Packing, Share, alone
from convnest_core.kernels.simd.batch_vector import fewest_images
from convnest_core.module import Module

from .fusing import fuse
from .graph import Adjust, Chain, Graph, Value
from .joining import Slice, join_in_place
from .kernel_choice import Kernels
from .lowering import chains_pay, lowered
from .memory import Layout, laid_out
from .merging import merge_siblings
from .segments import Segment, segmented
from .waiting import waits


@dataclass(frozen=True)
class Layer:
    """One line of a plan: the layers it does the work of, and how.

    `images` is how many images it takes at a time.
    """

    path: str
    algorithm: str
    input_shape: Shape
    output_shape: Shape
    images: int


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel call; `waits` says whether a team has to meet before it (see `waits`)."""

    kernel: Kernel
    x: Value
    residual: Value | None
    out: Value
    waits: bool

    def run(
        self, arrays: Mapping[Value, Array], chunk: slice, *, images: int, share: Share
    ) -> None:
        """Compute a share of one chunk, of up to `images` images, of the batch."""
        x, out = (_part(arrays[value], chunk, images) for value in (self.x, self.out))
        residual = None if self.residual is None else _part(arrays[self.residual], chunk, images)
        self.kernel(x, out, residual, share)


def _part(array: Array, chunk: slice, images: int) -> Array:
    """A chunk of a value that is held for the whole batch, or of one held for a chunk alone."""
    return array[chunk] if len(array) > images else array[: chunk.stop - chunk.start]


@dataclass(frozen=True, eq=False)
class Program:
    """What plans of one network share: no part of it is ever written to."""

    input: Value
    output: Value
    steps: tuple[Step, ...]
    layers: tuple[Layer, ...]
    segments: tuple[Segment, ...]
    layout: Layout
    max_batch: int
    dtype: DType

    def run(
        self,
        arrays: Mapping[Value, Array],
        images: int,
        *,
        share: Share = WHOLE,
        meet: Callable[[], None] | None = None,
    ) -> None:
        """Compute all values of a batch of `images` from the input's.

        Members of a team run it at once, each with its share; `meet` is a barrier of all of them.
        """
        begun = False
        for place, chunk, held in self._calls(images):
            step = self.steps[place]
            if meet and begun and step.waits:
                meet()
            begun = True
            step.run(arrays, chunk, images=held, share=share)

    def measure(self, arrays: Mapping[Value, Array], images: int) -> list[float]:
        """As `run`, alone; the seconds that each step took."""
        seconds = [0.0] * len(self.steps)
        for place, chunk, held in self._calls(images):
            begun = time.perf_counter()
            self.steps[place].run(arrays, chunk, images=held, share=WHOLE)
            seconds[place] += time.perf_counter() - begun
        return seconds

    def _calls(self, images: int) -> Iterator[tuple[int, slice, int]]:
        """In order: which step, for which images, and how many its values are held for."""
        for segment in self.segments:
            for first in range(0, images, segment.images):
                chunk = slice(first, min(first + segment.images, images))
                for place in range(segment.first, segment.last):
                    yield place, chunk, segment.images


class Compiler:
    """Makes programs for different batches of one built module, with the weights it has now.

    Programs share the kernels that suit them all. In what order kernels pack depends on the
    module's shapes and the programs asked for alone.
    """

    def __init__(self, module: Module, pack: Packing = alone) -> None:
        assert module.built is not None
        self._module, self._shape = module, module.built.input_shape
        self._dtype = module.built.dtype
        self._kernels = Kernels(self._dtype, pack)
        self._graphs: dict[bool, tuple[Graph, Mapping[Value, Slice]]] = {}

    def program(self, max_batch: int) -> Program:
        """For batches of 1 … max_batch."""
        graph, slices = self._graph(max_batch)
        sizes = {"max_batch": max_batch, "itemsize": self._dtype.itemsize}
        segments = segmented(graph, slices, **sizes)
        layout = laid_out(graph, slices, segments, **sizes)
        waiting = waits(graph, layout, segments)
        steps, layers = [], []
        for segment in segments:
            for node in graph.nodes[segment.first : segment.last]:
                x, *residuals = node.inputs
                kernel = self._kernels.of(node, images=segment.images)
                residual = residuals[0] if residuals else None
                steps.append(Step(kernel, x, residual, node.output, node in waiting))
                layers.append(
                    Layer(node.path, kernel.algorithm, x.shape, node.output.shape, segment.images)
                )
        return Program(
            input=graph.input,
            output=graph.output,
            steps=tuple(steps),
            layers=tuple(layers),
            segments=tuple(segments),
            layout=layout,
            max_batch=max_batch,
            dtype=self._dtype,
        )

    def small_program(self, max_batch: int) -> Program | None:
        """For the small ones of batches of 1 … max_batch, if these have a quicker one."""
        chained = any(isinstance(node.operation, Chain) for node in self._graph(max_batch)[0].nodes)
        return self.program(fewest_images() - 1) if chained else None

    def _graph(self, images: int) -> tuple[Graph, Mapping[Value, Slice]]:
        """The operations for batches of up to so many images, and which values are slices."""
        key = chains_pay(images)
        if key not in self._graphs:
            graph = lowered(self._module, self._shape, images=images)
            fuse(graph)
            slices = join_in_place(graph, merge_siblings(graph))
            if not graph.nodes:  # nothing but dropout and its like
                graph.output = graph.add(Adjust(), graph.input, shape=graph.input.shape, path="")
            self._graphs[key] = graph, slices
        return self._graphs[key]
