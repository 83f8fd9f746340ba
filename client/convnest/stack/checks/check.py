"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How good it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but worse than it could."""
    PROBLEM = "problem"
    """Something will not work."""


@dataclass(frozen=True)
class Check:
    """One line of `convnest doctor`."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
    """What to do about it."""


def ok(name: str, found: str) -> Check:
    return Check(name, Verdict.OK, found)


def warning(name: str, found: str, advice: str) -> Check:
    return Check(name, Verdict.WARNING, found, advice)


def problem(name: str, found: str, advice: str = "") -> Check:
    return Check(name, Verdict.PROBLEM, found, advice)
