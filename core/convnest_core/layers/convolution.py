"""Convolution over images."""

from __future__ import annotations

from functools import partial

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Pair, Shape, unread
from convnest_core.building import Initialiser
from convnest_core.checks import MAX_FILTERS, boolean, integer, number, pair
from convnest_core.errors import ShapeError, SpecError
from convnest_core.initialisers import Start, drawn_as, start_of
from convnest_core.kernels.windows import slid
from convnest_core.module import Forward, Module
from convnest_core.parameters import Parameter
from convnest_core.run import Run

from .activation import ReLU


def window_output(
    shape: Shape,
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> Pair:
    """The (height, width) that windows make of an image of `shape` (H, W, C); or a ShapeError."""
    if len(shape) != 3:
        raise ShapeError(f"takes images (height, width, channels), got {len(shape)} dimension(s)")
    height, width = slid(
        (shape[0], shape[1]),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil=ceil,
    )
    if height < 1 or width < 1:
        apart = f" with dilation {dilation[0]}, {dilation[1]}" if dilation != (1, 1) else ""
        around = f" with padding {padding[0]}, {padding[1]}" if any(padding) else ""
        raise ShapeError(
            f"kernel {kernel[0]}×{kernel[1]}{apart} does not fit into "
            f"{shape[0]}×{shape[1]} input{around}"
        )
    return height, width


class Conv2d(Module):
    """y[n,i,j,o] = b[o] + Σ x[n, i·s+u·d-p, j·s+v·d-p, c] · w[u,v,c,o], zero outside the image.

    With `groups`, input and output channels fall into as many equal parts, and each output sums
    over its own part alone (Krizhevsky, Sutskever, Hinton 2012).
    """

    kind = "conv"

    def __init__(
        self,
        filters: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        start: Start = "he",
        bias_start: float = 0.0,
    ) -> None:
        self.filters = integer("filters", filters, least=1, most=MAX_FILTERS)
        self.kernel = pair("kernel", kernel, least=1)
        self.stride = pair("stride", stride, least=1)
        self.padding = pair("padding", padding, least=0)
        self.dilation = pair("dilation", dilation, least=1)
        self.groups = integer("groups", groups, least=1, most=MAX_FILTERS)
        if self.filters % self.groups:
            message = f"groups must divide filters, got {self.groups} and {self.filters}"
            raise SpecError(message, field="groups")
        self.start = start_of("start", start)
        self.bias_start = number("bias_start", bias_start, least=-100, below=100)
        self._has_bias = boolean("bias", bias)
        self._parameters: dict[str, Parameter] = {}

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:
        height, width = window_output(
            shape,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        if shape[2] % self.groups:
            raise ShapeError(
                f"takes channels in {self.groups} groups, got {shape[2]} channels, "
                f"which {self.groups} does not divide"
            )
        area, channels = self.kernel[0] * self.kernel[1], shape[2] // self.groups
        start = drawn_as(
            self.start, fan_in=area * channels, fan_out=area * self.filters // self.groups
        )
        weight_shape = (*self.kernel, channels, self.filters)
        weight = rng.weight(weight_shape, start=start, stored_axes=(3, 2, 0, 1), dtype=dtype)
        self._parameters = {"weight": weight}
        if self._has_bias:
            self._parameters["bias"] = rng.vector(self.filters, self.bias_start, dtype=dtype)
        return height, width, self.filters

    def own_parameters(self) -> dict[str, Parameter]:
        return self._parameters

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return self._forward(x, run, rectify=False)

    def forward_with(self, following: Module) -> Forward | None:
        return partial(self._forward, rectify=True) if type(following) is ReLU else None

    def _forward(self, x: Array, run: Run, *, rectify: bool) -> tuple[Array, Backward]:
        self.expect(x)
        weight, bias = self._parameters["weight"], self._parameters.get("bias")
        y = kernels.convolve(
            x,
            weight.value,
            None if bias is None else bias.value,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            rectify=rectify,
        )

        def backward(dy: Array) -> Array:
            if rectify:
                dy = kernels.relu_backward(y, dy)
            gradients = kernels.convolve_backward(
                x,
                weight.value,
                dy,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                bias=bias is not None,
                input_gradient=run.input_gradient,
                weight_gradient=not all(one.frozen for one in self._parameters.values()),
            )
            if gradients.dw is not None:
                weight.grad += gradients.dw
            if bias is not None and gradients.db is not None:
                bias.grad += gradients.db
            return unread(x) if gradients.dx is None else gradients.dx

        return y, backward
