"""Modules made of modules: one after the other, added up, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import kernels
from .arrays import Array, Backward, BackwardOfTwo, DType, Shape, shown, unread
from .building import Initialiser
from .errors import ShapeError, SpecError
from .layers.activation import ReLU
from .module import Forward, Module
from .run import Run

if TYPE_CHECKING:
    from .small_images import Chain


class Sequential(Module):
    """The modules one after the other. A list is named "0", "1", …; a mapping by its keys."""

    kind = "sequential"

    def __init__(self, modules: Sequence[Module] | Mapping[str, Module]) -> None:
        self._children = _named(modules)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        for name, child in self._children.items():
            shape = rng.build(name, child, shape, dtype=dtype)
        return shape

    def children(self) -> dict[str, Module]:
        return self._children

    def __call__(self, x: Array) -> Array:
        waiting = list(self._children.values())
        while waiting:
            together = _chain_for(x, waiting)
            x = together(x) if together else waiting[0](x)
            del waiting[: len(together.modules) if together else 1]
        return x

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        y, backward, _ = _through(list(self._children.values()), x, run)
        return y, backward

    def forward_onto(self, x: Array, residual: Array, run: Run) -> tuple[Array, BackwardOfTwo]:
        if not self._children:
            return super().forward_onto(x, residual, run)
        *before, last = self._children.values()
        x, first, run = _through(before, x, run)
        y, step = last.forward_onto(x, residual, run)

        def backward(dy: Array) -> tuple[Array, Array]:
            dx, gradient = step(dy)
            return first(dx), gradient

        return y, backward


class Sum(Module):
    """The sum of what the branches make of one input (residual connections, He et al. 2015)."""

    kind = "sum"

    def __init__(self, branches: Sequence[Module] | Mapping[str, Module]) -> None:
        self._children = _branches(branches)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        shapes = {n: rng.build(n, b, shape, dtype=dtype) for n, b in self._children.items()}
        if len(set(shapes.values())) > 1:
            given = ", ".join(f"{name}: {shown(one)}" for name, one in shapes.items())
            raise ShapeError(f"the branches must give one shape, got {given}")
        return next(iter(shapes.values()))

    def children(self) -> dict[str, Module]:
        return self._children

    def __call__(self, x: Array) -> Array:
        return _added([branch(x) for branch in self._children.values()])

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        passes = [branch.forward(x, run) for branch in self._children.values()]
        backwards = [backward for _, backward in passes]
        return (
            _added([y for y, _ in passes]),
            lambda dy: _added([backward(dy) for backward in backwards]),
        )

    def forward_with(self, following: Module) -> Forward | None:
        several = len(self._children) > 1
        return self._forward_rectified if several and type(following) is ReLU else None

    def _forward_rectified(self, x: Array, run: Run) -> tuple[Array, Backward]:
        """relu(sum): the first branch adds the others to its own result as it writes it."""
        first, *others = self._children.values()
        passes = [branch.forward(x, run) for branch in others]
        y, step = first.forward_onto(x, _added([y for y, _ in passes]), run)
        backwards = [backward for _, backward in passes]

        def backward(dy: Array) -> Array:
            dx, gradient = step(dy)
            return _added([dx, *(backward(gradient) for backward in backwards)])

        return y, backward


class Concat(Module):
    """What the branches make of one input, side by side along the channels (inception modules)."""

    kind = "concat"

    def __init__(self, branches: Sequence[Module] | Mapping[str, Module]) -> None:
        self._children = _branches(branches)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        shapes = {n: rng.build(n, b, shape, dtype=dtype) for n, b in self._children.items()}
        if len({one[:-1] for one in shapes.values()}) > 1:
            given = ", ".join(f"{name}: {shown(one)}" for name, one in shapes.items())
            raise ShapeError(f"the branches must agree in all but the last size, got {given}")
        return (*next(iter(shapes.values()))[:-1], sum(one[-1] for one in shapes.values()))

    def children(self) -> dict[str, Module]:
        return self._children

    def __call__(self, x: Array) -> Array:
        return np.concatenate([branch(x) for branch in self._children.values()], axis=-1)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        passes = [branch.forward(x, run) for branch in self._children.values()]
        backwards = [backward for _, backward in passes]
        ends = np.cumsum([y.shape[-1] for y, _ in passes])[:-1]

        def backward(dy: Array) -> Array:
            parts = np.split(dy, ends, axis=-1)
            return _added([step(part) for step, part in zip(backwards, parts, strict=True)])

        return np.concatenate([y for y, _ in passes], axis=-1), backward


def _through(modules: list[Module], x: Array, run: Run) -> tuple[Array, Backward, Run]:
    """The modules one after the other; and the run for a module behind them.

    In training, several that are quicker together are one step.
    """
    steps: list[Backward] = []
    skipped = None
    waiting = list(modules)
    while waiting:
        taken, forward = _together(waiting, x) if run.training else (1, waiting[0].forward)
        trains = run.input_gradient or any(map(_trains, waiting[:taken]))
        del waiting[:taken]
        if not trains and skipped is None:
            skipped = unread(x)
        x, step = forward(x, run)
        if trains:
            steps.append(step)
            run = run.with_input_gradient()

    def backward(dy: Array) -> Array:
        for step in reversed(steps):
            dy = step(dy)
        # Nobody reads the input's gradient then, and what it takes is not computed.
        return dy if skipped is None else skipped

    return x, backward, run


def _together(modules: list[Module], x: Array) -> tuple[int, Forward]:
    """How many of the modules, from the first on, are one step for x, and that step."""
    together = _chain_for(x, modules)
    if together is not None:
        return len(together.modules), together.forward
    pair = modules[0].forward_with(modules[1]) if len(modules) > 1 else None
    return (1, modules[0].forward) if pair is None else (2, pair)


def _chain_for(x: Array, modules: list[Module]) -> Chain | None:
    """The modules from the first on that small images go through as one; None if none are."""
    if kernels.kernel_set() != "simd":
        return None
    # Imported here because only this set has it, and importing all of a set takes a while.
    from .small_images import chain_for

    return chain_for(x, modules)


def _trains(module: Module) -> bool:
    return any(not parameter.frozen for parameter in module.parameters().values())


def _added(arrays: list[Array]) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    total = kernels.add(arrays[0], arrays[1])
    for array in arrays[2:]:
        total += array
    return total


def _named(modules: Sequence[Module] | Mapping[str, Module]) -> dict[str, Module]:
    if isinstance(modules, Mapping):
        return dict(modules)
    return {str(index): module for index, module in enumerate(modules)}


def _branches(modules: Sequence[Module] | Mapping[str, Module]) -> dict[str, Module]:
    if not modules:
        raise SpecError("needs at least one branch")
    return _named(modules)
