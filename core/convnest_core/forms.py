"""The checks of `checks` as JSON forms: what a description's normal form holds.

A pair of equal sizes is one number, a tuple is a list.
"""

from __future__ import annotations

from . import checks
from .checks import Check
from .errors import SpecError
from .initialisers import start_of


def integer(least: int, most: int) -> Check:
    return lambda field, value: checks.integer(field, value, least=least, most=most)


def odd(most: int) -> Check:
    def check(field: str, value: object) -> int:
        size = checks.integer(field, value, least=1, most=most)
        if size % 2 == 0:
            raise SpecError(f"{field} must be odd, got {size}", field=field)
        return size

    return check


def number(least: float, below: float) -> Check:
    return lambda field, value: checks.number(field, value, least=least, below=below)


def positive(below: float) -> Check:
    return lambda field, value: checks.positive(field, value, below=below)


def start() -> Check:
    return start_of


def boolean() -> Check:
    return checks.boolean


def choice(*among: str) -> Check:
    return lambda field, value: checks.choice(field, value, among=among)


def pair(least: int) -> Check:
    def check(field: str, value: object) -> object:
        height, width = checks.pair(field, value, least=least)
        return height if height == width else [height, width]

    return check


def integers(least: int, most: int, longest: int) -> Check:
    return lambda field, value: list(
        checks.integers(field, value, least=least, most=most, longest=longest)
    )
