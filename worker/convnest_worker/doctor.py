"""`python -m convnest_worker.doctor`: what this process computes with, as one JSON document."""

from __future__ import annotations

import json
import time

import numpy as np
from convnest_core import fingerprint, single_blas_thread

_SIZE = 1024
_TRIES = 5


def main() -> None:
    """Print the numeric fingerprint of a worker's process, and how fast its BLAS is."""
    single_blas_thread()
    print(json.dumps({**fingerprint(), "sgemm_gflops": round(_sgemm_gflops(), 1)}))


def _sgemm_gflops() -> float:
    """Of one thread, on float32 matrices that do not fit a first-level cache."""
    matrix = np.full((_SIZE, _SIZE), 0.5, np.float32)
    out = np.empty_like(matrix)
    best_s = float("inf")
    for _ in range(_TRIES):
        started = time.perf_counter()
        np.matmul(matrix, matrix, out=out)
        best_s = min(best_s, time.perf_counter() - started)
    return 2e-9 * _SIZE**3 / best_s


if __name__ == "__main__":
    main()
