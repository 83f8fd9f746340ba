"""Generated kernels are tested where there are any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from convnest_core.kernels.simd.machine import machine
from support.tiny_kernels import tiny_kernels


@pytest.fixture(autouse=True)
def _where_there_are_kernels() -> None:
    if machine() is None:
        pytest.skip("needs Numba, and a CPU that kernels are generated for")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    folder = tmp_path / "kernels"
    monkeypatch.setenv("CONVNEST_KERNEL_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny() -> Iterator[None]:
    """The test may use `Native("tiny", …)`."""
    with tiny_kernels():
        yield
