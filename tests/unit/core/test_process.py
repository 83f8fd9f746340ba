"""The process around a computation: fingerprint, threads, and an import that does nothing."""

import subprocess
import sys

import numpy as np
from convnest_core import fingerprint, keep_freed_memory, single_blas_thread
from convnest_core.kernels import kernel_set


def test_a_fingerprint_is_text_and_knows_the_number_of_threads() -> None:
    with single_blas_thread():
        single = fingerprint()
    assert single["blas_threads"] == "1"
    assert single["numpy"] == np.__version__
    assert single["kernels"].split()[0] == kernel_set()
    assert all(isinstance(value, str) and value for value in single.values())
    with single_blas_thread():
        assert fingerprint() == single


def test_memory_is_kept_where_the_system_can() -> None:
    program = "from convnest_core import keep_freed_memory as keep; print(keep())"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() in {"True", "False"}
    assert callable(keep_freed_memory)


def test_importing_imports_little_and_starts_nothing() -> None:
    program = (
        "import sys, threading, convnest_core; "
        "assert threading.active_count() == 1; "
        "print([m for m in ('threadpoolctl', 'argparse', 'difflib', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
