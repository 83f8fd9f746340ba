"""The checks of `convnest doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from convnest.stack.options import StackOptions

from .check import Check, Verdict
from .disk import disk_checks
from .machine import machine_checks
from .numerics import numerics_checks
from .redis_checks import redis_checks
from .service import check_service
from .software import software_checks

__all__ = ["Check", "Verdict", "all_checks"]


def all_checks(options: StackOptions, *, server: str | None = None) -> Iterator[Check]:
    """Every check, one after the other; `server` is an address to ask instead of the default."""
    yield from software_checks()
    yield from redis_checks(options)
    yield from numerics_checks()
    yield from machine_checks()
    yield from disk_checks(options.data_dir)
    yield check_service(options, server)
