"""Checks of single values at the edge: each returns the value in its one form, or says why not.

JSON knows one kind of number, so 5.0 is an integer here and True is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from .arrays import Pair
from .errors import SpecError
from .suggestions import suggestion

Check: TypeAlias = Callable[[str, object], object]

# What a network from a stranger may ask for.
MAX_FILTERS = 8192
MAX_FEATURES = 65_536
MAX_WINDOW = 64
MAX_CLASSES = 65_536


def integer(field: str, value: object, *, least: int, most: int) -> int:
    """`value` as an int within [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise SpecError(f"{field} must be an integer, got {_short(value)}", field=field)
    if value < least:
        raise SpecError(f"{field} must be ≥ {least}, got {_short(value)}", field=field)
    if value > most:
        raise SpecError(f"{field} must be ≤ {most}, got {_short(value)}", field=field)
    return int(value)


def number(field: str, value: object, *, least: float, below: float) -> float:
    """`value` as a float within [least, below)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{field} must be a number, got {_short(value)}", field=field)
    if not least <= value < below:
        message = f"{field} must be ≥ {least:g} and < {below:g}, got {_short(value)}"
        raise SpecError(message, field=field)
    return float(value)


def positive(field: str, value: object, *, below: float) -> float:
    """`value` as a float within (0, below)."""
    checked = number(field, value, least=0, below=below)
    if not checked:
        raise SpecError(f"{field} must be > 0 and < {below:g}, got {_short(value)}", field=field)
    return checked


def boolean(field: str, value: object) -> bool:
    """`value`, which must be true or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{field} must be true or false, got {_short(value)}", field=field)
    return value


def choice(field: str, value: object, *, among: Sequence[str]) -> str:
    """`value`, which must be one of the words in `among`."""
    if not isinstance(value, str) or value not in among:
        known = ", ".join(among)
        hint = suggestion(value, among)
        message = f"{field} must be one of {known}; got {_short(value)}{hint}"
        raise SpecError(message, field=field)
    return value


def pair(field: str, value: object, *, least: int, most: int = MAX_WINDOW) -> Pair:
    """`value` as (height, width): one integer for both, or a list of two."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            message = f"{field} must be one integer or [height, width], got {_short(value)}"
            raise SpecError(message, field=field)
        height, width = (integer(field, item, least=least, most=most) for item in value)
        return height, width
    both = integer(field, value, least=least, most=most)
    return both, both


def integers(field: str, value: object, *, least: int, most: int, longest: int) -> tuple[int, ...]:
    """`value` as a tuple of at most `longest` integers, each within [least, most]."""
    if not isinstance(value, list | tuple):
        raise SpecError(f"{field} must be a list of integers, got {_short(value)}", field=field)
    if len(value) > longest:
        message = f"{field} must have at most {longest} entries, got {len(value)}"
        raise SpecError(message, field=field)
    return tuple(integer(field, item, least=least, most=most) for item in value)


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print the largest
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
