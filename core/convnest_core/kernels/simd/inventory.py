"""Every generated kernel: which there are, and compiling those that the cache does not hold."""

from __future__ import annotations

import importlib
import pkgutil
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from convnest_core.errors import CoreError

from . import __path__ as _here
from . import native, object_cache

_REASON = 300  # of a compiler's many words
_NEEDS_NUMBA = {"compiler", "language", "sources"}


@dataclass(frozen=True)
class Progress:
    """A kernel was compiled: the `done`-th of `total`."""

    kernel: str
    done: int
    total: int
    seconds: float


def all_kernels() -> list[native.Native]:
    """Every kernel that a front end of this package names, by title. Numba is not imported."""
    for module in pkgutil.iter_modules(_here):
        if module.name not in _NEEDS_NUMBA:
            importlib.import_module(f"{__package__}.{module.name}")
    return [native.named[title] for title in sorted(native.named)]


def missing_kernels() -> list[native.Native]:
    """Those that would have to be compiled."""
    return [kernel for kernel in all_kernels() if not kernel.is_cached]


def compile_missing(told: Callable[[Progress], None] = lambda _progress: None) -> None:
    """Compile what the cache does not hold.

    Several processes may do so at once: each begins elsewhere, and leaves out what another did.
    Raises CoreError where a kernel cannot be compiled, or not be kept.
    """
    missing = missing_kernels()
    if missing and (problem := object_cache.problem()):
        raise CoreError(f"no kernels can be kept: {problem}")
    first = secrets.randbelow(len(missing)) if missing else 0
    for done, kernel in enumerate([*missing[first:], *missing[:first]], 1):
        begun = time.perf_counter()
        try:
            if not kernel.is_cached:
                kernel.load()
        except Exception as error:  # of Numba or LLVM, which raise all kinds
            why = " ".join(str(error).split())[:_REASON]
            raise CoreError(f"{kernel.title} cannot be compiled: {why}") from error
        if not kernel.is_cached:
            raise CoreError(f"{kernel.title} cannot be kept in {object_cache.folder()}")
        told(Progress(kernel.title, done, len(missing), time.perf_counter() - begun))
