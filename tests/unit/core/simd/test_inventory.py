"""All kernels are known, and compiled where the cache lacks them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from convnest_core.errors import CoreError
from convnest_core.kernels import simd
from convnest_core.kernels.simd import inventory
from convnest_core.kernels.simd.inventory import Progress, all_kernels, compile_missing
from convnest_core.kernels.simd.native import Native


def test_every_kernel_that_a_module_names_is_known() -> None:
    titles = {kernel.title for kernel in all_kernels()}
    core = Path(simd.__file__).parents[2]
    naming = [path for path in core.rglob("*.py") if "Native(" in path.read_text("utf-8")]
    outside = [path for path in naming if path.parent != Path(simd.__file__).parent]
    assert outside == [], "kernels are named in front ends beside `native`"
    for title in titles:
        module, name = title.split(".")
        source = Path(simd.__file__).parent / "sources" / f"{module}.py"
        assert re.search(rf"^(def {name}\(|{name} = )", source.read_text("utf-8"), re.MULTILINE)


def test_knowing_them_imports_no_numba() -> None:
    script = (
        "import sys; from convnest_core.kernels.simd.inventory import all_kernels; all_kernels();"
        "print('numba' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed == "False\n"


@pytest.fixture
def two(tiny: None, monkeypatch: pytest.MonkeyPatch) -> list[Native]:
    """As if there were two kernels."""
    kernels = [Native("tiny", "add"), Native("tiny", "multiply")]
    monkeypatch.setattr(inventory, "all_kernels", lambda: kernels)
    return kernels


def test_what_is_missing_is_compiled_and_told(two: list[Native], cache: Path) -> None:
    two[0].load()
    told: list[Progress] = []
    compile_missing(told.append)
    assert [(one.kernel, one.done, one.total) for one in told] == [("tiny.multiply", 1, 1)]
    assert all(kernel.is_cached for kernel in two)
    told.clear()
    compile_missing(told.append)
    assert told == []


def test_what_another_process_compiles_meanwhile_is_left_out(
    two: list[Native], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_process(progress: Progress) -> None:
        if progress.done == 1:
            for kernel in two:
                kernel.load()
                monkeypatch.setattr(kernel, "load", None)

    compile_missing(other_process)
    assert all(kernel.is_cached for kernel in two)


def test_a_kernel_that_cannot_be_compiled_is_named(
    tiny: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "all_kernels", lambda: [Native("tiny", "allocate")])
    with pytest.raises(CoreError, match=r"tiny\.allocate cannot be compiled: .*NRT_"):
        compile_missing()


def test_a_cache_that_keeps_nothing_is_an_error(
    two: list[Native], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVNEST_KERNEL_CACHE", "/dev/null/kernels")
    with pytest.raises(CoreError, match="no kernels can be kept: /dev/null is no folder"):
        compile_missing()


def kernels_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convnest_core.kernels", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_tells_what_is_not_compiled(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVNEST_KERNELS", "simd")
    listed = kernels_command("list", "--json")
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert lines == [{"kernel": kernel.title, "cached": False} for kernel in all_kernels()]
    if lines:
        checked = kernels_command("check")
        assert checked.returncode == 1
        assert f"{len(lines)} of {len(lines)} are not compiled" in checked.stderr


def test_the_command_has_nothing_to_compile_for_numpy_s_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVNEST_KERNELS", "numpy")
    compiled = kernels_command("compile")
    assert compiled.returncode == 0
    assert "nothing is compiled" in compiled.stdout
