"""How the CPU's vector registers decide what kernels look like."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator

import pytest
from convnest_core.errors import CoreError
from convnest_core.kernels import choice
from convnest_core.kernels.simd.machine import Machine, machine

AVX512 = "+avx512f,+avx512vl,+avx512dq,+avx2,+fma"
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names features of x86")


@pytest.fixture
def found_anew() -> Iterator[None]:
    """The machine is looked for again, now and afterwards."""
    machine.cache_clear()
    yield
    machine.cache_clear()


@pytest.fixture
def chosen_anew(monkeypatch: pytest.MonkeyPatch, found_anew: None) -> None:
    """No set is chosen yet; the one of before computes afterwards."""
    monkeypatch.setattr(choice, "_chosen", None)


@X86
@pytest.mark.parametrize(
    ("features", "name", "width", "tile"),
    [
        (AVX512, "avx512", 16, (14, 2)),
        (AVX512.replace("+avx512dq", "-avx512dq"), "avx2", 8, (6, 2)),
        ("+avx2,+fma,-avx512f", "avx2", 8, (6, 2)),
    ],
)
def test_numba_s_settings_say_what_the_cpu_has(
    monkeypatch: pytest.MonkeyPatch,
    found_anew: None,
    features: str,
    name: str,
    width: int,
    tile: tuple[int, int],
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    found = machine()
    assert found is not None
    assert (found.cpu, found.name, found.width) == ("haswell", name, width)
    assert (found.pixels, found.vectors) == tile
    assert found.block == 2 * width


@X86
def test_a_cpu_without_such_registers_has_no_kernels(
    monkeypatch: pytest.MonkeyPatch, chosen_anew: None
) -> None:
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+sse4.2,+avx")
    monkeypatch.delenv("CONVNEST_KERNELS", raising=False)
    assert machine() is None
    assert choice.kernel_set() == "numpy"
    with pytest.raises(CoreError, match="need Numba, and a CPU with AVX2"):
        choice.use_kernels("simd")


def test_without_numba_there_are_none(monkeypatch: pytest.MonkeyPatch, found_anew: None) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert machine() is None


@pytest.mark.parametrize(("width", "registers"), [(16, 32), (8, 16), (4, 32)])
def test_a_tile_its_weights_and_an_input_fit_the_registers(width: int, registers: int) -> None:
    cpu = Machine("cpu", "", width=width, registers=registers)
    used = cpu.pixels * cpu.vectors + cpu.vectors + 1
    assert registers - cpu.vectors < used <= registers


@pytest.mark.parametrize(
    ("setting", "chosen"), [("", "simd"), ("auto", "simd"), ("simd", "simd"), ("numpy", "numpy")]
)
def test_the_environment_chooses_the_set(
    monkeypatch: pytest.MonkeyPatch, chosen_anew: None, setting: str, chosen: str
) -> None:
    monkeypatch.setenv("CONVNEST_KERNELS", setting)
    assert choice.kernel_set() == chosen


def test_a_set_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, chosen_anew: None
) -> None:
    monkeypatch.setenv("CONVNEST_KERNELS", "cuda")
    with pytest.raises(CoreError, match="auto, numpy and simd, got 'cuda'"):
        choice.kernel_set()
