"""A network's parameters in one shared array, and gradients in one for each member."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convnest_core.arrays import Array, DType
from convnest_core.module import Module
from convnest_core.parameters import Parameter

from .member import Member

_ALIGNED = 16  # values: every parameter begins at a cache line
_TILE = 1 << 16  # values


@dataclass(frozen=True)
class _Place:
    """Where a parameter lies in the flat array."""

    parameter: Parameter
    first: int

    def within(self, flat: Array) -> Array:
        """This parameter's part of a flat array, in its shape."""
        value = self.parameter.value
        return flat[self.first : self.first + value.size].reshape(value.shape)


class SharedParameters:
    """Puts all parameters of a member's replica into memory that the team shares.

    The flat array has three sections: parameters that decay, those that do not, and frozen ones.
    Each member adds up and moves its own range of the first two (as in "reduce-scatter"), so the
    team's optimizer state is split over its members, too.
    """

    def __init__(self, member: Member, module: Module, dtype: DType) -> None:
        self._member = member
        parameters = module.parameters()
        order = sorted(parameters, key=lambda name: _section(parameters[name]))
        self._places: dict[str, _Place] = {}
        ends = [0, 0, 0]
        end = 0
        for name in order:
            parameter = parameters[name]
            self._places[name] = _Place(parameter, end)
            end += -(-parameter.value.size // _ALIGNED) * _ALIGNED
            ends[_section(parameter) :] = [end] * (3 - _section(parameter))
        self.trained = ends[1]
        self.values = member.array((end,), dtype)
        self.gradients = member.array((member.size, self.trained), dtype)
        self.own = member.share(self.trained)
        self._sections = {"decaying": slice(0, ends[0]), "others": slice(ends[0], ends[1])}
        for place in self._places.values():
            shared = place.within(self.values)
            if member.rank == 0:
                shared[...] = place.parameter.value
            place.parameter.value = shared
            if not place.parameter.frozen:
                place.parameter.grad = place.within(self.gradients[member.rank])

    def zero_gradients(self) -> None:
        """Set this member's gradients to zero."""
        self.gradients[self._member.rank].fill(0)

    def sum_gradients(self) -> None:
        """Add all members' gradients in this member's own range, in the order of their ranks."""
        first, *others = self.gradients
        if not others:
            return
        mine = self.gradients[self._member.rank]
        for start in range(self.own.start, self.own.stop, _TILE):
            tile = slice(start, min(start + _TILE, self.own.stop))
            total = first[tile] + others[0][tile]
            for other in others[1:]:
                total += other[tile]
            mine[tile] = total

    def own_parameters(self) -> dict[str, Parameter]:
        """This member's range as one or two parameters, by their section's names."""
        gradients = self.gradients[self._member.rank]
        parts = {
            name: slice(max(section.start, self.own.start), min(section.stop, self.own.stop))
            for name, section in self._sections.items()
        }
        return {
            name: Parameter(self.values[part], gradients[part], name == "decaying", (0,))
            for name, part in parts.items()
            if part.start < part.stop
        }

    def own_part(self, section: str, flat: Array) -> Array:
        """This member's part of a section, in a flat array like the gradients'."""
        whole = self._sections[section]
        return flat[max(whole.start, self.own.start) : min(whole.stop, self.own.stop)]

    def named(self, flat: Array) -> Iterator[tuple[str, Array]]:
        """Each trained parameter's name, and its part of a flat array like the gradients'."""
        for name, place in self._places.items():
            if not place.parameter.frozen:
                yield name, place.within(flat)


def _section(parameter: Parameter) -> int:
    if parameter.frozen:
        return 2
    return 0 if parameter.decay else 1


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
