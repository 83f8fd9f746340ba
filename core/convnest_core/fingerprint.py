"""What a computation's last bits depend on besides its inputs."""

from __future__ import annotations

import platform
from collections.abc import Iterable

import numpy as np

from . import kernels
from .kernels.simd.machine import machine


def fingerprint() -> dict[str, str]:
    """Kernel set, BLAS, CPU features and versions; equal fingerprints mean bit-equal results.

    BLAS threads are part of it: call it after `single_blas_thread`, where that is called.
    """
    # Imported here because it takes 20 ms and is needed once.
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped] # it has no types

    loaded = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    # Another library may bring a BLAS of its own; ours is NumPy's.
    blas = [pool for pool in loaded if "numpy" in pool["filepath"]] or loaded
    config = np.show_config(mode="dicts") or {}
    simd = config.get("SIMD Extensions", {})
    return {
        "kernels": _kernels(),
        "blas": _listed(f"{pool['internal_api']} {pool['version']}" for pool in blas),
        "blas_core": _listed(str(pool.get("architecture", "unknown")) for pool in blas),
        "blas_threads": _listed(str(pool["num_threads"]) for pool in blas),
        "cpu": " ".join([platform.machine(), *simd.get("baseline", []), *simd.get("found", [])]),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _kernels() -> str:
    """`numpy`, or the generated set with the key of its sources, compiler and CPU."""
    found = machine()
    if kernels.kernel_set() == "numpy" or found is None:
        return "numpy"
    # Imported here because it takes 30 ms and is needed once.
    from .kernels.simd import object_cache

    return f"simd {found.name} {object_cache.key(found, checked=False)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(set(words))) or "unknown"
