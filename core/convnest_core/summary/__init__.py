"""What a network is made of: each layer's output shape and parameters, without any weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convnest_core.arrays import Shape, shown
from convnest_core.building import steps
from convnest_core.module import Module


@dataclass(frozen=True)
class Row:
    """One layer. `path` is its name in the network, `shape` its output's, without the batch."""

    path: str
    kind: str
    shape: Shape
    parameters: int


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
    def output_shape(self) -> Shape:
        return self.rows[-1].shape if self.rows else self.input_shape

    def text(self) -> str:
        """The rows as an aligned table, with the total below."""
        cells = [("layer", "kind", "output", "parameters")]
        cells.append(("", "input", shown(self.input_shape), "0"))
        cells += [(r.path, r.kind, shown(r.shape), f"{r.parameters:,}") for r in self.rows]
        cells.append(("", "", "total", f"{self.parameters:,}"))
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        sides: tuple[Callable[[str, int], str], ...] = (str.ljust, str.ljust, str.rjust, str.rjust)
        return "\n".join(
            "  ".join(side(cell, w) for side, cell, w in zip(sides, line, widths, strict=True))
            for line in cells
        )


def summarise(module: Module, shape: Shape) -> Summary:
    """The layers of `module` for inputs of `shape`; weights are neither needed nor allocated.

    A module used twice is listed once. Raises ShapeError where a layer cannot take its input.
    """
    rows = tuple(
        Row(step.path, step.module.kind, step.output_shape, step.parameters)
        for step in steps(module, shape)
        if not step.module.children()
    )
    return Summary(shape, rows)
