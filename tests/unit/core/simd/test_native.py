"""The one way into machine code refuses what the code could not bear."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convnest_core import Array, CoreError
from convnest_core.kernels.simd.machine import machine

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import native
from convnest_core.kernels.simd.native import Native
from convnest_core.kernels.simd.packing import packed
from support.tiny_kernels import tiny_kernels

ADDRESS = np.zeros(64, np.uint8)


def multiply(*, x: Any = None, y: Any = None, rows: Any = 2) -> Array:
    """A product of 2×3 and 3×2 that is right, but for what is given otherwise."""
    x = np.ones((2, 3), np.float32) if x is None else x
    total: Array = np.zeros((2, 2), np.float32) if y is None else y
    w = packed(np.ones((3, 2), np.float32))
    sizes = (3, 2, 3, 1, 0, 0, 0, 2, 0, 28, 3, 2)
    Native("product", "product")(x, w, None, None, total, None, None, rows, *sizes)
    return total


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def test_a_right_call_computes() -> None:
    np.testing.assert_array_equal(multiply(), np.full((2, 2), 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": np.ones((2, 3))}, "takes float32 arrays, got float64"),
        ({"x": 5}, "takes float32 arrays, got 5"),
        ({"y": read_only(np.ones((2, 2), np.float32))}, "read-only"),
        ({"x": np.ones((2, 3), np.float32)[::-1]}, "run forwards"),
        ({"x": ADDRESS[1:25].view(np.float32).reshape(2, 3)}, "aligned"),
    ],
)
def test_arrays_of_another_kind_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        multiply(**wrong)


@pytest.mark.parametrize("rows", [2.0, "2"])
def test_numbers_of_another_kind_are_refused(rows: object) -> None:
    with pytest.raises(TypeError, match="does not take"):
        multiply(rows=rows)


def test_as_many_arguments_as_the_kernel_has_are_asked_for() -> None:
    with pytest.raises(TypeError, match="arguments, got 1"):
        Native("product", "product")(1)


def test_sources_that_changed_under_a_process_are_not_mixed_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVNEST_KERNEL_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_key", lambda: "of older sources")
    with (
        tiny_kernels(),
        pytest.raises(CoreError, match="changed while this process ran; start it anew"),
    ):
        Native("tiny", "multiply").load()
    assert list(tmp_path.iterdir()) == []
