"""On PYTHONPATH of a worker: there are three kernels, each compiled when the test says `go`.

The folder CONVNEST_TEST_KERNELS holds a file for each that is compiled, `go`, and `fail` where the
next is not to compile. Slices and model processes compute as ever.
"""

import os
import sys
import time
from pathlib import Path

if {"convnest_worker", "convnest_worker.compiling"} & set(sys.orig_argv):
    from convnest_core.kernels.simd import inventory, object_cache

    _FOLDER = Path(os.environ["CONVNEST_TEST_KERNELS"])

    class _Kernel:
        def __init__(self, title: str) -> None:
            self.title = title

        @property
        def is_cached(self) -> bool:
            return (_FOLDER / self.title).exists()

        def load(self) -> None:
            while not (_FOLDER / "go").exists():
                time.sleep(0.02)
            if (_FOLDER / "fail").exists():
                raise ValueError("no such instruction")
            (_FOLDER / self.title).touch()

    inventory.all_kernels = lambda: [_Kernel(name) for name in "abc"]  # type: ignore[misc]  # a test's own
    object_cache.problem = lambda: ""
