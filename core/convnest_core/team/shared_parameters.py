"""A network's parameters in one shared array, and what their gradients are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convnest_core.arrays import Array, DType, Integers
from convnest_core.kernels.scratch import scratch
from convnest_core.module import Module
from convnest_core.parameters import Parameter

from .member import Batch, Member
from .products import SharedProducts

_ALIGNED = 16  # values: every parameter begins at a cache line
_TILE = 1 << 17  # values
_DECAYING, _OTHERS, _FACTORED, _FROZEN = range(4)


@dataclass(frozen=True)
class _Place:
    """Where a parameter lies in the flat array."""

    parameter: Parameter
    first: int

    def within(self, flat: Array) -> Array:
        """This parameter's part of a flat array, or of several flat arrays, in its shape."""
        value = self.parameter.value
        part = flat[..., self.first : self.first + value.size]
        return part.reshape(*part.shape[:-1], *value.shape, copy=False)


class SharedParameters:
    """Puts all parameters of a member's replica into memory that the team shares.

    The flat array has four sections: parameters that decay, those that do not, large matrices whose
    gradients are products (see `SharedProducts`), and frozen ones. Each member adds up and moves
    its own range of the first two (as in "reduce-scatter") and its own rows of each matrix, so the
    team's optimizer state is split over its members, too. `images` is the largest batch.
    """

    def __init__(self, member: Member, module: Module, dtype: DType, *, images: int) -> None:
        self._member = member
        parameters = module.parameters()
        sections = {name: _section(one, images) for name, one in parameters.items()}
        self._places: dict[str, _Place] = {}
        ends = [0, 0, 0, 0]
        end = 0
        for name in sorted(parameters, key=sections.__getitem__):
            self._places[name] = _Place(parameters[name], end)
            end += -(-parameters[name].value.size // _ALIGNED) * _ALIGNED
            ends[sections[name] :] = [end] * (4 - sections[name])
        self._summed = ends[_OTHERS]  # their gradients are added up
        self.values = member.array((end,), dtype)
        # Memory is taken where something is written: not for products, as a rule.
        self.gradients = member.array((member.size, ends[_FACTORED]), dtype)
        self._own = _cut(
            member.share(self._summed),
            {
                "decaying": slice(0, ends[_DECAYING]),
                "others": slice(ends[_DECAYING], ends[_OTHERS]),
            },
        )
        self._decays = {"decaying": True, "others": False}
        self._products: dict[str, SharedProducts] = {}
        uses = member.array((len(parameters),), np.int64)
        for number, (name, place) in enumerate(self._places.items()):
            shared = place.within(self.values)
            if member.rank == 0:
                shared[...] = place.parameter.value
            place.parameter.value = shared
            if not place.parameter.frozen:
                place.parameter.grad = place.within(self.gradients[member.rank])
            if sections[name] == _FACTORED:
                self._share_products(name, place, images, uses=uses[number : number + 1])

    def begin(self, batch: Batch) -> None:
        """Make this member's gradients ready for a pass over its rows of the batch."""
        self.gradients[self._member.rank, : self._summed].fill(0)
        for products in self._products.values():
            products.begin(batch)

    def gradients_of(self, batch: Batch) -> Iterator[tuple[str, slice, Array]]:
        """When all have met: the batch's gradient of this member's own parameters, in parts.

        They are what `Optimizer.step_by` takes. Members' sums add in the order of their ranks.
        """
        for name, products in self._products.items():
            for part, gradient in products.tiles(batch):
                yield name, part, gradient
        for name, whole in self._own.items():
            if name not in self._products:
                for first in range(whole.start, whole.stop, _TILE):
                    tile = slice(first, min(first + _TILE, whole.stop))
                    part = slice(first - whole.start, tile.stop - whole.start)
                    yield name, part, self._sum(tile)

    def own_parameters(self) -> dict[str, Parameter]:
        """What this member moves, each a flat parameter: sections' ranges, matrices' rows."""
        gradients = self.gradients[self._member.rank]
        return {
            name: Parameter(self.values[part], gradients[part], self._decays[name], (0,))
            for name, part in self._own.items()
        }

    def own_part(self, name: str, flat: Array) -> Array:
        """Where one of `own_parameters` lies in a flat array like the gradients'."""
        return flat[self._own[name]]

    def named(self, flat: Array) -> Iterator[tuple[str, Array]]:
        """Each trained parameter's name, and its part of a flat array like the gradients'."""
        for name, place in self._places.items():
            if not place.parameter.frozen:
                yield name, place.within(flat)

    def _share_products(self, name: str, place: _Place, images: int, *, uses: Integers) -> None:
        products = SharedProducts(
            self._member, images, gradients=place.within(self.gradients), uses=uses
        )
        place.parameter.products = self._products[name] = products
        columns = place.parameter.value.shape[1]
        first, last = (
            place.first + row * columns for row in (products.own.start, products.own.stop)
        )
        if first < last:
            self._own[name] = slice(first, last)
            self._decays[name] = place.parameter.decay

    def _sum(self, tile: slice) -> Array:
        """All members' gradients of one tile, added up."""
        first: Array
        first, *others = self.gradients[:, tile]
        if not others:
            return first
        total = scratch("team.sum", first.shape, self.values.dtype)
        np.add(first, others[0], out=total)
        for other in others[1:]:
            total += other
        return total


def _section(parameter: Parameter, images: int) -> int:
    if parameter.frozen:
        return _FROZEN
    if parameter.factored and SharedProducts.pay(images, *parameter.value.shape):
        return _FACTORED
    return _DECAYING if parameter.decay else _OTHERS


def _cut(own: slice, sections: dict[str, slice]) -> dict[str, slice]:
    """The parts of `own` that lie in each section, without empty ones."""
    parts = {
        name: slice(max(section.start, own.start), min(section.stop, own.stop))
        for name, section in sections.items()
    }
    return {name: part for name, part in parts.items() if part.start < part.stop}


def staging(member: Member, module: Module) -> dict[str, Array]:
    """A shared array for each buffer of the module, by its path."""
    return {
        name: member.array(buffer.shape, buffer.dtype) for name, buffer in buffers(module).items()
    }


def buffers(module: Module) -> dict[str, Array]:
    """All buffers of a module, by path."""
    return {
        f"{path}.{name}": buffer
        for path, inner in module.modules()
        for name, buffer in inner.own_buffers().items()
    }
