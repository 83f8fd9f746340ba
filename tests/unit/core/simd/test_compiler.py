"""Object code that needs nothing where it is loaded."""

from __future__ import annotations

import pytest
from convnest_core.errors import CoreError
from convnest_core.kernels.simd.machine import machine


def test_a_kernel_that_needs_python_is_not_compiled(tiny: None) -> None:
    from convnest_core.kernels.simd.compiler import compiled

    found = machine()
    assert found is not None
    with pytest.raises(CoreError, match="a kernel must not need NRT_"):
        compiled("tiny", "allocate", found)


def test_annotations_are_the_signature(tiny: None) -> None:
    from convnest_core.kernels.simd.compiler import compiled

    found = machine()
    assert found is not None
    kernel = compiled("tiny", "multiply", found)
    assert kernel.kinds == ("Floats", "FloatsOut", "int", "float")
    assert b"PyErr" not in kernel.code
    assert b"numba_" not in kernel.code
