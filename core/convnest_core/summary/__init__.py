"""What a network is made of and what it costs, layer by layer, without any weights.

Activation memory is counted the course's way: the input and every layer's output, at 4 bytes a
value (float32), for one image; activation functions, dropout, flattening, and adaptive pooling to
the size that is there work in place and cost nothing. VGG16 then needs 61 MB forward (the sum of
the lines of the course's table). Multiply-adds are those of convolutions and linear layers,
without biases: 15.5 billion for VGG16.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from convnest_core.arrays import Pair, Shape, shown
from convnest_core.building import steps
from convnest_core.combinators import Sequential
from convnest_core.module import Module
from convnest_core.tables import table

from .fields import Field, View, views

__all__ = ["Row", "Summary", "summarise"]

_VALUE_BYTES = 4
_ACTIVATIONS = {"relu", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "gelu", "softmax"}
_IN_PLACE = {*_ACTIVATIONS, "dropout", "spatial_dropout", "flatten", "logits"}


@dataclass(frozen=True)
class Row:
    """One layer. `path` is its name in the network, `shape` its output's, without the batch.

    `receptive_field` is the part of the image, (height, width), that one value sees, and `stride`
    how far its neighbour's lies from its own; None where every value sees the whole image.
    """

    path: str
    kind: str
    shape: Shape
    parameters: int
    activation_bytes: int
    multiply_adds: int
    receptive_field: Pair | None
    stride: Pair | None


@dataclass(frozen=True)
class Summary:
    """A network on inputs of `input_shape`, layer by layer."""

    input_shape: Shape
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """All trained values of the network."""
        return sum(row.parameters for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """The memory of one image's activations, its own included, forward."""
        return self.input_bytes + sum(row.activation_bytes for row in self.rows)

    @property
    def input_bytes(self) -> int:
        return prod(self.input_shape) * _VALUE_BYTES

    @property
    def multiply_adds(self) -> int:
        """For one image, forward."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def output_shape(self) -> Shape:
        return self.rows[-1].shape if self.rows else self.input_shape

    def text(self) -> str:
        """The rows as an aligned table, with the totals below."""
        head = ("layer", "kind", "output", "parameters", "activations", "multiply-adds")
        lines: list[tuple[str, ...]] = [
            (*head, "field", "stride"),
            ("", "input", shown(self.input_shape), "0", f"{self.input_bytes:,}", "0", "1×1", "1×1"),
        ]
        lines += [
            (
                row.path,
                row.kind,
                shown(row.shape),
                f"{row.parameters:,}",
                f"{row.activation_bytes:,}",
                f"{row.multiply_adds:,}",
                "all" if row.receptive_field is None else shown(row.receptive_field),
                "" if row.stride is None else shown(row.stride),
            )
            for row in self.rows
        ]
        totals = (self.parameters, self.activation_bytes, self.multiply_adds)
        lines.append(("", "", "total", *(f"{total:,}" for total in totals), "", ""))
        return (
            f"{table(lines, align='<<>>>>>>')}\n"
            f"{_millions(self.parameters)} parameters, "
            f"{_millions(self.activation_bytes)}B of activations an image, "
            f"{_millions(self.multiply_adds)} multiply-adds"
        )


def summarise(module: Module, shape: Shape) -> Summary:
    """The layers of `module` for inputs of `shape`; weights are neither needed nor allocated.

    A layer used twice is listed twice, its parameters once. Raises ShapeError where a layer cannot
    take its input.
    """
    # The walk's last step is the network itself, built without memory.
    built = steps(module, shape)[-1].module
    seen: set[int] = set()
    rows = []
    for layer, view in views(built, Field()):
        if not layer.children() and not isinstance(layer, Sequential):  # one may be empty
            rows.append(_row(layer, view, counted=id(layer) not in seen))
            seen.add(id(layer))
    return Summary(tuple(shape), tuple(rows))


def _row(layer: Module, view: View, *, counted: bool) -> Row:
    assert layer.built is not None
    output = layer.built.output_shape
    arrays = [parameter.value for parameter in layer.own_parameters().values()]
    return Row(
        path=layer.built.path,
        kind=layer.kind,
        shape=output,
        parameters=sum(array.size for array in arrays) if counted else 0,
        activation_bytes=0 if _works_in_place(layer) else prod(output) * _VALUE_BYTES,
        # Each weight of a filter meets each pixel of the output once.
        multiply_adds=prod(output[:-1]) * sum(array.size for array in arrays if array.ndim > 1),
        receptive_field=None if view is None else view.size,
        stride=None if view is None else view.stride,
    )


def _works_in_place(layer: Module) -> bool:
    assert layer.built is not None
    same = layer.built.input_shape == layer.built.output_shape
    return layer.kind in _IN_PLACE or (same and layer.kind == "adaptive_avg_pool")


def _millions(count: int) -> str:
    return f"{count / 1e9:,.1f} G" if count >= 1e9 else f"{count / 1e6:,.1f} M"
