"""`Module`: what every layer, combinator and network is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from . import kernels
from .arrays import Array, Backward, BackwardOfTwo, DType, Shape, shown
from .errors import DTypeError, ShapeError, StateError, joined
from .parameters import Parameter
from .run import EVALUATION, Run

if TYPE_CHECKING:
    from .building import Initialiser


Forward: TypeAlias = Callable[[Array, Run], tuple[Array, Backward]]


@dataclass(frozen=True)
class Built:
    """Where a module stands in its network, and what it takes and gives."""

    path: str
    input_shape: Shape
    output_shape: Shape
    dtype: DType


class Module(ABC):
    """A differentiable function of one array, with named parameters.

    It keeps no activations: what `backward` needs lives in the closure that `forward` returns. So
    one module may run in several threads at once, and twice in one network (its gradients add).
    """

    kind: ClassVar[str]
    built: Built | None = None
    frozen: bool = False  # set by `freeze`
    least_size: int = 1  # height and width of the smallest image it takes, where it knows

    @abstractmethod
    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        """Make the parameters for inputs of `shape` and return the output's shape.

        Called by `convnest_core.build`, which names the layer in the ShapeErrors raised here.
        """

    @abstractmethod
    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        """Map x [N, *input_shape] to y [N, *output_shape] and to the closure dL/dy ↦ dL/dx.

        The closure adds to the parameters' gradients. Neither x nor dy is written to.
        """

    def forward_with(self, following: Module) -> Forward | None:  # noqa: ARG002
        """`forward` of this module and `following` as one function, where that is quicker.

        Combinators use it in training: a convolution, a linear layer, BatchNorm or a sum, and the
        ReLU behind it, take one pass over memory together instead of one each.
        """
        return None

    def forward_onto(self, x: Array, residual: Array, run: Run) -> tuple[Array, BackwardOfTwo]:
        """relu(forward(x) + residual), and the closure dL/dy ↦ (dL/dx, dL/dresidual).

        Modules that end in a pass over memory add the residual there.
        """
        y, step = self.forward(x, run)
        y = kernels.add(y, residual, rectify=True)

        def backward(dy: Array) -> tuple[Array, Array]:
            gradient = kernels.relu_backward(y, dy)
            return step(gradient), gradient

        return y, backward

    def __call__(self, x: Array) -> Array:
        """Evaluate: the output of `forward` in an evaluation run."""
        return self.forward(x, EVALUATION)[0]

    def children(self) -> Mapping[str, Module]:
        """The modules this one is made of, by name.

        A child named "" has its parent's path: its own children's names follow the parent's.
        """
        return {}

    def own_parameters(self) -> Mapping[str, Parameter]:
        """The parameters of this module alone, without its children's."""
        return {}

    def own_buffers(self) -> Mapping[str, Array]:
        """Arrays that belong to the state but are not trained, without the children's."""
        return {}

    def modules(self) -> Iterator[tuple[str, Module]]:
        """This module (path "") and all within, each once, parents first."""
        return _walk("", self, set())

    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by its path (`layers.0.weight`), each once."""
        return {
            joined(path, name): parameter
            for path, module in self.modules()
            for name, parameter in module.own_parameters().items()
        }

    def state(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by path, in torchvision's names and layouts.

        Convolutions are (out, in, height, width), linear layers (out, in).
        """
        self._expect_built()
        state: dict[str, Array] = {}
        for path, module in self.modules():
            for name, parameter in module.own_parameters().items():
                state[joined(path, name)] = parameter.stored()
            for name, buffer in module.own_buffers().items():
                state[joined(path, name)] = buffer.copy()
        return state

    def load_state(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over what `state` returned; all of it, or nothing.

        PyTorch's `num_batches_tracked` is passed over. Raises StateError with the names that are
        missing, unexpected, or of another shape or dtype, or that hold NaN or infinity.
        """
        self._expect_built()
        given = {name: a for name, a in arrays.items() if not name.endswith("num_batches_tracked")}
        slots: dict[str, tuple[Shape, DType]] = {}
        for path, module in self.modules():
            for name, parameter in module.own_parameters().items():
                slots[joined(path, name)] = parameter.stored_shape, parameter.value.dtype
            for name, buffer in module.own_buffers().items():
                slots[joined(path, name)] = buffer.shape, buffer.dtype
        missing = [name for name in slots if name not in given]
        unexpected = [name for name in given if name not in slots]
        mismatching = [
            f"{name} ({problem})"
            for name, (shape, dtype) in slots.items()
            if name in given and (problem := _mismatch(given[name], shape, dtype))
        ]
        if missing or unexpected or mismatching:
            raise StateError(
                "the stored state is not this network's",
                missing=missing,
                unexpected=unexpected,
                mismatching=mismatching,
            )
        for path, module in self.modules():
            for name, parameter in module.own_parameters().items():
                parameter.load(given[joined(path, name)])  # type: ignore[arg-type] # dtype checked
            for name, buffer in module.own_buffers().items():
                buffer[...] = given[joined(path, name)]

    def expect(self, x: Array) -> None:
        """Check that x is a batch of what this module was built for."""
        built = self._expect_built()
        if x.dtype != built.dtype:
            raise DTypeError(f"{self._name()}: built in {built.dtype}, got {x.dtype}")
        if x.shape[1:] != built.input_shape or not len(x):
            raise ShapeError(
                f"takes a batch of one or more {shown(built.input_shape)}, "
                f"got an array of {shown(x.shape)}",
                path=built.path,
                kind=self.kind,
            )

    def _expect_built(self) -> Built:
        if self.built is None:
            raise StateError(f"{self.kind}: has no parameters yet; call build(module, shape) first")
        return self.built

    def _name(self) -> str:
        return f"{self.built.path} ({self.kind})" if self.built and self.built.path else self.kind


def zero_grad(module: Module) -> None:
    """Set every parameter's gradient to zero."""
    for parameter in module.parameters().values():
        parameter.grad.fill(0)


def _walk(path: str, module: Module, seen: set[int]) -> Iterator[tuple[str, Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield path, module
    for name, child in module.children().items():
        yield from _walk(joined(path, name), child, seen)


def _mismatch(array: npt.NDArray[np.generic], shape: Shape, dtype: DType) -> str:
    if array.shape != shape:
        return f"shape {shown(array.shape)}, not {shown(shape)}"
    if array.dtype != dtype:
        return f"{array.dtype}, not {dtype}"
    return "" if np.isfinite(array).all() else "holds NaN or infinity"
