"""`plan`: a trained network made ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, DType, Shape, shown
from convnest_core.errors import DTypeError, ShapeError, StateError
from convnest_core.kernels.planned import Kernel
from convnest_core.module import Module
from convnest_core.tables import table

from .fusing import fuse
from .graph import Adjust, Value
from .joining import join_in_place
from .kernel_choice import kernel_for
from .lowering import lowered
from .memory import Layout, laid_out
from .segments import Segment, segmented


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
class _Step:
    """One kernel call."""

    kernel: Kernel
    x: Value
    residual: Value | None
    out: Value

    def run(self, arrays: Mapping[Value, Array], chunk: slice, images: int) -> None:
        """Compute one chunk, of up to `images` images, of the batch."""
        x, out = (_part(arrays[value], chunk, images) for value in (self.x, self.out))
        residual = None if self.residual is None else _part(arrays[self.residual], chunk, images)
        self.kernel(x, out, residual)


def _part(array: Array, chunk: slice, images: int) -> Array:
    """A chunk of a value that is held for the whole batch, or of one held for a chunk alone."""
    return array[chunk] if len(array) > images else array[: chunk.stop - chunk.start]


@dataclass(frozen=True, eq=False)
class _Program:
    """What plans of one network share: no part of it is ever written to."""

    input: Value
    output: Value
    steps: tuple[_Step, ...]
    layers: tuple[Layer, ...]
    segments: tuple[Segment, ...]
    layout: Layout
    max_batch: int
    dtype: DType


class Plan:
    """A compiled network: `plan(x)` is what `module(x)` is, up to rounding, and quicker.

    One thread at a time may use it; `another()` gives further threads plans of their own.
    """

    def __init__(self, program: _Program) -> None:
        """Use `plan(module, shape, max_batch=…)`."""
        self._program = program
        self._arrays = program.layout.arrays(program.dtype)

    def __call__(self, x: Array) -> Array:
        """Map x [N, *input_shape] to y [N, *output_shape], which is the caller's; x is only read.

        Raises DTypeError or ShapeError where x is not such a batch of 1 … max_batch.
        """
        program = self._program
        self._expect(x)
        arrays: Mapping[Value, Array] = {
            **self._arrays,
            program.input: np.ascontiguousarray(x),
        }
        for segment in program.segments:
            for first in range(0, len(x), segment.images):
                chunk = slice(first, min(first + segment.images, len(x)))
                for step in program.steps[segment.first : segment.last]:
                    step.run(arrays, chunk, segment.images)
        return arrays[program.output][: len(x)].copy()

    @property
    def input_shape(self) -> Shape:
        return self._program.input.shape

    @property
    def output_shape(self) -> Shape:
        return self._program.output.shape

    @property
    def max_batch(self) -> int:
        return self._program.max_batch

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What is computed, in order, and how."""
        return self._program.layers

    @property
    def buffer_bytes(self) -> int:
        """The memory that this plan holds for values between layers."""
        return self._program.layout.size_bytes

    def another(self) -> Plan:
        """A plan with buffers of its own and the same weights."""
        return Plan(self._program)

    def describe(self) -> str:
        """The layers as an aligned table, the buffers' size below."""
        rows = [
            (layer.path, layer.algorithm, shown(layer.input_shape), shown(layer.output_shape))
            for layer in self.layers
        ]
        head = ("layers", "algorithm", "input", "output")
        return (
            f"{table([head, *rows], align='<<>>')}\n"
            f"batches of 1 to {self.max_batch}, {self.buffer_bytes / 1e6:,.1f} MB of buffers"
        )

    def _expect(self, x: Array) -> None:
        program = self._program
        if x.dtype != program.dtype:
            raise DTypeError(f"the plan is in {program.dtype}, got {x.dtype}")
        if x.shape[1:] != self.input_shape or not 1 <= len(x) <= self.max_batch:
            raise ShapeError(
                f"the plan takes a batch of 1 to {self.max_batch} × {shown(self.input_shape)}, "
                f"got an array of {shown(x.shape)}"
            )


def plan(module: Module, shape: Shape, *, max_batch: int) -> Plan:
    """Compile a built module for evaluation on batches of 1 … `max_batch` inputs of `shape`.

    Weights that need no change are shared with the module: make a new plan after training on.
    Raises StateError where the module is not built, ShapeError where it is for another shape.
    """
    if module.built is None:
        raise StateError(f"{module.kind}: has no parameters yet; call build(module, shape) first")
    if module.built.input_shape != tuple(shape):
        raise ShapeError(
            f"the network is built for {shown(module.built.input_shape)}, not {shown(shape)}"
        )
    if max_batch < 1:
        raise ShapeError(f"max_batch must be ≥ 1, got {max_batch}")
    dtype = module.built.dtype
    graph = lowered(module, module.built.input_shape)
    fuse(graph)
    slices = join_in_place(graph)
    if not graph.nodes:  # nothing but dropout and its like
        graph.output = graph.add(Adjust(), graph.input, shape=graph.input.shape, path="")
    segments = segmented(graph, slices, max_batch=max_batch, itemsize=dtype.itemsize)
    layout = laid_out(graph, slices, segments, max_batch=max_batch, itemsize=dtype.itemsize)
    steps, layers = [], []
    for segment in segments:
        for node in graph.nodes[segment.first : segment.last]:
            x, *residuals = node.inputs
            kernel = kernel_for(node, images=segment.images)
            steps.append(_Step(kernel, x, residuals[0] if residuals else None, node.output))
            layers.append(
                Layer(node.path, kernel.algorithm, x.shape, node.output.shape, segment.images)
            )
    return Plan(
        _Program(
            input=graph.input,
            output=graph.output,
            steps=tuple(steps),
            layers=tuple(layers),
            segments=tuple(segments),
            layout=layout,
            max_batch=max_batch,
            dtype=dtype,
        )
    )
