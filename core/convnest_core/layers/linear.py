"""The fully connected layer."""

from __future__ import annotations

from functools import partial

from convnest_core.arrays import Array, Backward, DType, Shape, shown, unread
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_FEATURES, boolean, integer, number
from convnest_core.errors import ShapeError
from convnest_core.initialisers import Start, drawn_as, start_of
from convnest_core.kernels import column_sums, multiply, relu_backward
from convnest_core.module import Forward, Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run

from .activation import ReLU


class Linear(Module):
    """y = x · W + b."""

    kind = "linear"

    def __init__(
        self,
        features: int,
        *,
        bias: bool = True,
        start: Start = "he",
        bias_start: float = 0.0,
    ) -> None:
        self.features = integer("features", features, least=1, most=MAX_FEATURES)
        self.start = start_of("start", start)
        self.bias_start = number("bias_start", bias_start, least=-100, below=100)
        self._has_bias = boolean("bias", bias)
        self._parameters: dict[str, Parameter] = {}

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        if len(shape) != 1:
            raise ShapeError(f"takes vectors, got {shown(shape)}; put a flatten layer before it")
        start = drawn_as(self.start, fan_in=shape[0], fan_out=self.features)
        weight_shape = (shape[0], self.features)
        weight = rng.weight(weight_shape, start=start, stored_axes=(1, 0), dtype=dtype)
        weight.factored = True
        self._parameters = {"weight": weight}
        if self._has_bias:
            self._parameters["bias"] = rng.vector(self.features, self.bias_start, dtype=dtype)
        return (self.features,)

    def own_parameters(self) -> dict[str, Parameter]:
        return self._parameters

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return self._forward(x, run, rectify=False)

    def forward_with(self, following: Module) -> Forward | None:
        return partial(self._forward, rectify=True) if type(following) is ReLU else None

    def _forward(self, x: Array, run: Run, *, rectify: bool) -> tuple[Array, Backward]:
        self.expect(x)
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        y = multiply(x, weight.value, None if bias is None else bias.value, rectify=rectify)

        def backward(dy: Array) -> Array:
            if rectify:
                dy = relu_backward(y, dy)
            if not weight.frozen:
                weight.add_product(x, dy)
            if bias is not None and not bias.frozen:
                bias.grad += column_sums(dy)
            return multiply(dy, weight.value.T) if run.input_gradient else unread(x)

        return y, backward
