"""The process around a computation: fingerprint, threads, and an import that does nothing."""

import re
import subprocess
import sys
from pathlib import Path

import convnest_core
import numpy as np
import pytest
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


# Modules that take a while to import, and that a program needs at one point or not at all.
LATER = {
    "argparse",
    "convnest_core.planning",
    "convnest_core.schedules",
    "convnest_core.summary",
    "convnest_core.team",
    "difflib",
    "email",
    "importlib.metadata",
    "llvmlite",
    "multiprocessing",
    "numba",
    "scipy",
    "socket",
    "subprocess",
    "threadpoolctl",
}


def imported(program: str) -> set[str]:
    """The modules of a fresh process behind `program`."""
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(printed.stdout.split())


def test_importing_imports_little_and_starts_nothing() -> None:
    bare = imported("import threading, convnest_core; assert threading.active_count() == 1")
    assert bare & (LATER - imported("import numpy.typing")) == set()


def test_every_public_name_is_there_when_it_is_asked_for() -> None:
    program = "import convnest_core as c; print([n for n in c.__all__ if not hasattr(c, n)])"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
    assert dir(convnest_core) == sorted(convnest_core.__all__)
    with pytest.raises(AttributeError, match="'convnest_core' has no attribute 'nothing'"):
        convnest_core.nothing  # noqa: B018 # asking is the test
    from convnest_core import Plan, plan, schedules
    from convnest_core.planning import Plan as Planned

    assert Plan is Planned
    assert callable(plan)
    assert schedules.__name__ == "convnest_core.schedules"


def test_nothing_is_unpickled() -> None:
    """What members of a team give each other are numbers, JSON and arrays."""
    sources = list(Path(convnest_core.__file__).parent.rglob("*.py"))
    imports = re.compile(r"^\s*(?:import|from)\s.*\b(?:pickle|marshal|shelve)\b", re.MULTILINE)
    assert len(sources) > 50
    assert imports.search("import io, pickle")
    assert [path.name for path in sources if imports.search(path.read_text())] == []
