"""Which set of kernels computes: the generated SIMD ones where they can be had, else NumPy's."""

from __future__ import annotations

import os
from typing import Literal

from convnest_core.errors import CoreError

from .simd.machine import machine

KernelSet = Literal["numpy", "simd"]

_chosen: KernelSet | None = None


def kernel_set() -> KernelSet:
    """This process's set: what `use_kernels` or `CONVNEST_KERNELS` names, else the best there is.

    Raises CoreError where `CONVNEST_KERNELS` names none that can be had.
    """
    global _chosen
    if _chosen is None:
        use_kernels(os.environ.get("CONVNEST_KERNELS") or None)
    assert _chosen is not None
    return _chosen


def use_kernels(name: str | None) -> None:
    """Compute with the set `name` from now on in this process; None or "auto": the best there is.

    Results of one set equal those of another only to rounding. Raises CoreError.
    """
    global _chosen
    if name not in (None, "auto", "numpy", "simd"):
        raise CoreError(f"there are the kernel sets auto, numpy and simd, got {name!r}")
    if name == "simd" and machine() is None:
        raise CoreError("simd kernels need Numba, and a CPU with AVX2, AVX-512 or NEON")
    if name in (None, "auto"):
        name = "numpy" if machine() is None else "simd"
    _chosen = "numpy" if name == "numpy" else "simd"
