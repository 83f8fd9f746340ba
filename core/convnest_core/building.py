"""The walk that builds a network: names its layers, draws its parameters, keeps to the limits.

`build` makes a module ready to run. `shapes_only` takes the same walk over a copy whose arrays need
no memory, so that a network from a stranger is checked in milliseconds, whatever its size.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from operator import index

import numpy as np
import numpy.typing as npt

from .arrays import Array, DType, Shape, shown
from .errors import DTypeError, ShapeError, joined
from .initialisers import Normal
from .module import Built, Module
from .parameters import Parameter
from .random import normal

MAX_PARAMETERS = 1_000_000_000
MAX_ACTIVATION = 1 << 28  # values in one layer's output, for one image


@dataclass(frozen=True)
class Step:
    """One module as the walk met it; `parameters` are those it added itself."""

    path: str
    module: Module
    input_shape: Shape
    output_shape: Shape
    parameters: int


@dataclass
class _Walk:
    """What one build has seen so far."""

    seed: int | None  # None: what would be drawn is zero
    allocate: bool
    steps: dict[int, Step] = field(default_factory=dict)  # by the module's id
    parameters: int = 0


class Initialiser:
    """Where a module gets its parameters and its children's shapes from while it is built."""

    def __init__(self, walk: _Walk, path: str = "") -> None:
        self._walk = walk
        self.path = path

    def build(self, name: str, module: Module, shape: Shape, *, dtype: DType) -> Shape:
        """Build a child under `name` and return its output shape.

        A module that was met before keeps its parameters; its input shape must be the same.
        """
        path = joined(self.path, name)
        known = self._walk.steps.get(id(module))
        if known is not None:
            if known.input_shape != shape:
                raise ShapeError(
                    f"also used as {known.path or 'the network'} with input "
                    f"{shown(known.input_shape)}; here its input is {shown(shape)}",
                    path=path,
                    kind=module.kind,
                )
            return known.output_shape
        if len(shape) == 3 and min(shape[:2]) < module.least_size:
            raise ShapeError(
                f"takes images from {module.least_size}×{module.least_size} pixels, "
                f"got {shown(shape[:2])}",
                path=path,
            )
        before = self._walk.parameters
        try:
            output = module.build(shape, Initialiser(self._walk, path), dtype)
            _check_size(output)
        except ShapeError as error:
            if error.path:
                raise
            raise ShapeError(error.message, path=path, kind=module.kind) from None
        module.built = Built(path, shape, output, dtype)
        for parameter in module.own_parameters().values():
            parameter.frozen = module.frozen
        own = 0 if module.children() else self._walk.parameters - before
        self._walk.steps[id(module)] = Step(path, module, shape, output, own)
        return output

    def normal(self, name: str, shape: Shape, *, start: Normal, dtype: DType) -> Array:
        """Normal numbers as `start` wants them, keyed by seed, path and `name`."""
        if not self._walk.allocate:
            return _weightless(shape, dtype)
        if self._walk.seed is None:
            return np.zeros(shape, dtype)
        drawn = normal(
            f"initial/{joined(self.path, name)}",
            shape,
            seed=self._walk.seed,
            dtype=dtype,
            cut=start.cut,
        )
        return np.multiply(drawn, start.deviation, out=drawn)

    def constant(self, shape: Shape, value: float, *, dtype: DType) -> Array:
        """An array of one value, which a module may write to."""
        if not self._walk.allocate:
            return _weightless(shape, dtype)
        return np.zeros(shape, dtype) if value == 0 else np.full(shape, value, dtype)

    def weight(
        self, shape: Shape, *, start: Normal, stored_axes: tuple[int, ...], dtype: DType
    ) -> Parameter:
        """A random parameter named `weight`, subject to weight decay."""
        self._count(shape)
        value = self.normal("weight", shape, start=start, dtype=dtype)
        return Parameter(value, self.constant(shape, 0, dtype=dtype), True, stored_axes)

    def vector(self, size: int, value: float, *, dtype: DType) -> Parameter:
        """A constant vector parameter (bias, scale), free of weight decay."""
        self._count((size,))
        filled, grad = (self.constant((size,), v, dtype=dtype) for v in (value, 0))
        return Parameter(filled, grad, False, (0,))

    def _count(self, shape: Shape) -> None:
        self._walk.parameters += prod(shape)
        if self._walk.parameters > MAX_PARAMETERS:
            raise ShapeError(
                f"the network would have {self._walk.parameters:,} parameters or more; "
                f"at most {MAX_PARAMETERS:,} are allowed"
            )


def build(module: Module, shape: Shape, *, seed: int, dtype: npt.DTypeLike = np.float32) -> Shape:
    """Make the parameters of `module` for inputs of `shape`, and return its output shape.

    Shapes are without the batch. Every parameter is drawn from `seed` and its own path. Raises
    ShapeError where a layer cannot take its input, naming the layer's path.
    """
    return _built(_Walk(seed, allocate=True), module, shape, dtype)


def build_unfilled(module: Module, shape: Shape, *, dtype: npt.DTypeLike = np.float32) -> Shape:
    """As `build`, but random parameters are zero: for values that come from elsewhere at once."""
    return _built(_Walk(seed=None, allocate=True), module, shape, dtype)


def shapes_only(module: Module, shape: Shape) -> Shape:
    """The output shape of `module` for inputs of `shape`; needs no memory, leaves `module` alone.

    Raises what `build` would raise.
    """
    return steps(module, shape)[-1].output_shape


def steps(module: Module, shape: Shape) -> list[Step]:
    """The walk of `shapes_only` in full: one step for each module, children before parents."""
    # Parameters and buffers of a trained module are replaced in the copy, so they need no copying.
    shared: dict[int, object] = {id(array): array for array in _arrays(module)}
    walk = _Walk(None, allocate=False)
    _built(walk, copy.deepcopy(module, shared), shape, np.float32)
    return list(walk.steps.values())


def _built(walk: _Walk, module: Module, shape: Shape, dtype: npt.DTypeLike) -> Shape:
    wanted: DType = np.dtype(dtype)  # type: ignore[assignment] # the next line makes it true
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(f"a module is built in float32 or float64, got {wanted}")
    shape = tuple(index(size) for size in shape)  # a list from JSON is a shape, too
    if not shape or min(shape) < 1:
        raise ShapeError(f"an input shape is one or more sizes ≥ 1, got {shape}")
    _check_size(shape)
    return Initialiser(walk).build("", module, shape, dtype=wanted)


def _check_size(shape: Shape) -> None:
    if prod(shape) > MAX_ACTIVATION:
        message = f"{shown(shape)} is {prod(shape):,} values an image; at most {MAX_ACTIVATION:,}"
        raise ShapeError(message)


def _weightless(shape: Shape, dtype: DType) -> Array:
    return np.broadcast_to(np.zeros((), dtype), shape)


def _arrays(module: Module) -> Iterator[object]:
    for _, inner in module.modules():
        yield from inner.own_parameters().values()
        yield from inner.own_buffers().values()
