"""`plan`: a trained network made ready to answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convnest_core.arrays import Array, Shape, shown
from convnest_core.errors import DTypeError, ShapeError, StateError
from convnest_core.module import Module
from convnest_core.tables import table

from .graph import Value
from .program import Compiler, Layer, Program


class Plan:
    """A compiled network: `plan(x)` is what `module(x)` is, up to rounding, and quicker.

    One thread at a time may use it; `another()` gives further threads plans of their own.
    """

    def __init__(self, program: Program, small: Program | None = None) -> None:
        """Use `plan(module, shape, max_batch=…)`; `small` is quicker for batches up to its own."""
        self._program, self._small = program, Plan(small) if small else None
        self._arrays = program.layout.arrays(program.dtype)
        self._measured: tuple[int, list[float]] | None = None  # images, seconds of each layer

    def __call__(self, x: Array) -> Array:
        """Map x [N, *input_shape] to y [N, *output_shape], which is the caller's; x is only read.

        Raises DTypeError or ShapeError where x is not such a batch of 1 … max_batch.
        """
        arrays = self._values(x)
        if self._small and len(x) <= self._small.max_batch:
            return self._small(x)
        self._program.run(arrays, len(x))
        return arrays[self._program.output][: len(x)].copy()

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
        return Plan(self._program, self._small._program if self._small else None)

    def measure(self, x: Array, *, repeats: int = 10) -> list[float]:
        """The seconds that each of `layers` takes for a batch: the least of `repeats` times.

        `describe` shows them from now on.
        """
        arrays = self._values(x)
        self._program.run(arrays, len(x))
        times = [self._program.measure(arrays, len(x)) for _ in range(repeats)]
        least = [min(of_layer) for of_layer in zip(*times, strict=True)]
        self._measured = len(x), least
        return least

    def describe(self) -> str:
        """The layers as an aligned table, the buffers' size below; with what `measure` found."""
        rows = [["layers", "algorithm", "input", "output"]]
        for layer in self.layers:
            shapes = shown(layer.input_shape), shown(layer.output_shape)
            rows.append([layer.path, layer.algorithm, *shapes])
        below = [f"batches of 1 to {self.max_batch}, {self.buffer_bytes / 1e6:,.1f} MB of buffers"]
        if self._measured is not None:
            images, seconds = self._measured
            rows[0] += ["ms", "share"]
            for row, taken in zip(rows[1:], seconds, strict=True):
                row += [f"{1e3 * taken:.3f}", f"{taken / sum(seconds):.1%}"]
            below.append(f"a batch of {images} takes {1e3 * sum(seconds):.3f} ms")
        lines = table(rows, align="<<>>>>"[: len(rows[0])])
        return "\n".join([lines, *below])

    def _values(self, x: Array) -> Mapping[Value, Array]:
        self._expect(x)
        return {**self._arrays, self._program.input: np.ascontiguousarray(x)}

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
    compiler = Compiler(module)
    return Plan(compiler.program(max_batch), compiler.small_program(max_batch))
