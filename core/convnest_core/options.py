"""Options as data: what a layer or a network may be told, its defaults, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .checks import Check
from .errors import SpecError
from .module import Module
from .suggestions import suggestion


@dataclass(frozen=True)
class Option:
    """One option. Without a default it must be given; `like` takes another option's value."""

    name: str
    check: Check
    doc: str
    default: object = None
    like: str = ""
    required: bool = False


@dataclass(frozen=True)
class Kind:
    """Something that a description can name: its meaning, its options, and what makes it."""

    doc: str
    make: Callable[..., Module]
    options: tuple[Option, ...] = ()


def filled(kind: Kind, given: object) -> dict[str, object]:
    """The options of `kind` in their one form, with every default filled in.

    Raises SpecError for an unknown or missing option, and for a value out of its bounds.
    """
    if not isinstance(given, Mapping):
        raise SpecError(f"options must be an object, got {type(given).__name__}")
    known = [option.name for option in kind.options]
    for name in given:
        if name not in known:
            raise SpecError(_unknown_option(name, known), field=str(name)[:100])
    values: dict[str, object] = {}
    for option in kind.options:
        if option.name in given:
            values[option.name] = option.check(option.name, given[option.name])
        elif option.required:
            raise SpecError(f"{option.name} is missing ({option.doc})", field=option.name)
        else:
            values[option.name] = values[option.like] if option.like else option.default
    return values


def _unknown_option(name: object, known: list[str]) -> str:
    if not known:
        return f"takes no options, got {str(name)[:100]!r}"
    return (
        f"unknown option {str(name)[:100]!r}{suggestion(name, known)}; "
        f"the options are {', '.join(known)}"
    )
