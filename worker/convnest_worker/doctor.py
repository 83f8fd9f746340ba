"""`python -m convnest_worker.doctor`: what a worker's process computes with, as JSON."""

from __future__ import annotations

import json

from convnest_core import fingerprint, single_blas_thread
from convnest_core.kernels import kernel_set
from convnest_core.kernels.simd import inventory, object_cache
from convnest_core.kernels.simd.machine import machine


def main() -> None:
    """Print the numeric fingerprint of a process that computes, and what generated kernels need."""
    single_blas_thread()
    print(json.dumps({**fingerprint(), "generated": _generated()}))


def _generated() -> dict[str, object] | None:
    """The generated kernels' vectors and cache; None where NumPy's kernels compute."""
    found = machine()
    if kernel_set() == "numpy" or found is None:
        return None
    total = len(inventory.all_kernels())
    return {
        "vectors": f"{found.name}, {found.width} float32 a vector",
        "folder": str(object_cache.folder()),
        "problem": object_cache.problem(),
        "ready": total - len(inventory.missing_kernels()),
        "total": total,
    }


if __name__ == "__main__":
    main()
