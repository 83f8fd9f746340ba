"""Receptive fields: which part of the image a layer's values look at.

With jump j (how far apart in the image two neighbouring values look) and field r, a window of k
places that moves by s makes r + (k-1)·j and j·s (Araujo, Norris, Sim 2019, "Computing receptive
fields"). Branches that meet look as far as the farthest of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convnest_core.arrays import Pair
from convnest_core.auxiliary import Auxiliary
from convnest_core.combinators import Concat, Sum
from convnest_core.layers import AdaptiveAvgPool, AvgPool, Conv2d, MaxPool, Subsample, Upsample
from convnest_core.module import Built, Module


@dataclass(frozen=True)
class Field:
    """The size of what one value sees, and how far its neighbour's view lies from its own."""

    size: Pair = (1, 1)
    stride: Pair = (1, 1)

    def through(self, extent: Pair, stride: Pair) -> Field:
        """The field behind a window that covers `extent` places and moves by `stride`."""
        rows, columns = (
            size + (covered - 1) * jump
            for size, covered, jump in zip(self.size, extent, self.stride, strict=True)
        )
        down, right = (jump * step for jump, step in zip(self.stride, stride, strict=True))
        return Field((rows, columns), (down, right))


# None: the whole image, as behind a linear layer.
View = Field | None


def views(module: Module, before: View) -> Iterator[tuple[Module, View]]:
    """Every layer within a built `module` with the view of its values, then the module's own.

    A layer that occurs twice comes twice.
    """
    children = list(module.children().values())
    after = before
    if not children:
        after = _behind(module, before)
    elif isinstance(module, Sum | Concat):
        ends: list[View] = []
        for child in children:
            end = before
            for inner, end in views(child, before):
                yield inner, end
            ends.append(end)
        after = _farthest(ends)
    else:
        for child in children:
            for inner, behind in views(child, after):
                yield inner, behind
                after = behind
        if isinstance(module, Auxiliary):
            after = before  # its head looks on, the trunk goes on
    yield module, after


def _behind(layer: Module, before: View) -> View:
    if before is None or layer.built is None:
        return None
    match layer:
        case Conv2d():
            reach = _reach(layer.kernel, layer.dilation)
            return before.through(reach, layer.stride)
        case MaxPool() | AvgPool():
            return before.through(layer.size, layer.stride)
        case Subsample():
            return before.through((1, 1), layer.stride)
        case AdaptiveAvgPool() | Upsample():
            return _resized(layer.built, before)
    taken, given = layer.built.input_shape, layer.built.output_shape
    if len(given) < len(taken):  # a global mean; flattening alone mixes nothing, but what follows
        return None
    return before if taken[:2] == given[:2] else None


def _resized(built: Built, before: Field) -> Field:
    """Exact where one size is a multiple of the other, else the largest window's field."""
    sizes = list(zip(built.input_shape[:2], built.output_shape[:2], strict=True))
    height, width = (-(-taken // given) for taken, given in sizes)
    rows, columns = before.through((height, width), (1, 1)).size
    down, right = (
        max(1, jump * taken // given)
        for jump, (taken, given) in zip(before.stride, sizes, strict=True)
    )
    return Field((rows, columns), (down, right))


def _reach(kernel: Pair, dilation: Pair) -> Pair:
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    return height, width


def _farthest(ends: list[View]) -> View:
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    rows, columns = (max(end.size[axis] for end in known) for axis in (0, 1))
    return Field((rows, columns), known[0].stride)
