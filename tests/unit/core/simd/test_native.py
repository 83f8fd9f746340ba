"""A compiled kernel as a function: what it refuses, and what disturbs it not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convnest_core.errors import CoreError
from convnest_core.kernels.simd import native, object_cache
from convnest_core.kernels.simd.native import Native
from support.tiny_kernels import forget_loaded

TESTS = Path(__file__).parents[3]
X = np.arange(5, dtype=np.float32)
ADDED = "add 2.5 3.5 4.5 5.5 6.5"
MULTIPLIED = "multiply 0.0 2.5 5.0 7.5 10.0"


def in_processes(*names: list[str], checks: str = "") -> list[list[str]]:
    """What one process for each list of kernels prints, all running at once."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "support.tiny_kernels", *one],
            cwd=TESTS,
            env={**os.environ, "CONVNEST_KERNEL_CHECKS": checks},
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in names
    ]
    printed = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0] * len(names)
    return printed


def y() -> Any:
    return np.zeros(5, np.float32)


@pytest.fixture
def add(tiny: None) -> Native:
    """y = x + number for n values."""
    return Native("tiny", "add")


def read_only() -> Any:
    array = y()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((X, y(), 5), "add takes 4 arguments, got 3"),
        ((X, y(), 5, 1.0, 2), "add takes 4 arguments, got 5"),
        ((X.astype(np.float64), y(), 5, 1.0), "add takes float32 arrays, got float64"),
        ((X.astype(">f4"), y(), 5, 1.0), "add takes float32 arrays, got >f4"),
        (([0.0], y(), 5, 1.0), r"add takes float32 arrays, got \[0.0\]"),
        ((X, read_only(), 5, 1.0), "add writes to this array, and it is read-only"),
        ((X[::-1], y(), 5, 1.0), r"add takes arrays that run forwards, got strides \(-4,\)"),
        (
            (np.frombuffer(bytes(21), np.float32, 5, 1), y(), 5, 1.0),
            "add takes arrays that are aligned",
        ),
        ((X, y(), 5.0, 1.0), "add was given a number it does not take"),
        ((X, y(), 2**63, 1.0), "add was given a number it does not take"),
        ((X, y(), 5, "one"), "add was given a number it does not take"),
        ((X, y(), X, 1.0), "add was given a number it does not take"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    add: Native, arguments: tuple[Any, ...], says: str
) -> None:
    with pytest.raises(TypeError, match=says):
        add(*arguments)


def test_numbers_come_as_numpy_s_too(add: Native) -> None:
    result = y()
    add(X, result, np.int32(5), np.float32(2.5))  # type: ignore[arg-type] # as front ends may do
    np.testing.assert_array_equal(result, X + 2.5)


def test_an_array_may_be_left_out(add: Native) -> None:
    result = y()
    add(None, result, 4, 2.5)
    np.testing.assert_array_equal(result, [2.5, 2.5, 2.5, 2.5, 0])


def test_the_reach_of_a_slice_is_that_of_its_memory() -> None:
    array, floats = np.zeros((2, 3, 8), np.float32), native._Parameter(np.dtype(np.float32), False)
    assert native._span("k", floats, array)[1] == 48
    address, reach = native._span("k", floats, array[..., 2:4])
    assert address == array.ctypes.data + 8
    assert reach == 5 * 8 + 2
    assert native._span("k", floats, array[:0])[1] == 0


def test_a_kernel_that_gives_up_raises(tiny: None) -> None:
    give_up = Native("tiny", "give_up")
    give_up(3)
    with pytest.raises(CoreError, match="the kernel give_up gave up"):
        give_up(4)


def test_kernels_compiled_in_processes_of_their_own_live_in_one_without_numba(cache: Path) -> None:
    # All at once, two of them the same kernel.
    assert in_processes(["add"], ["multiply"], ["add"]) == [
        [ADDED, "numba"],
        [MULTIPLIED, "numba"],
        [ADDED, "numba"],
    ]
    names = {path.name for path in cache.rglob("*") if path.is_file()}
    assert names == {"tiny.add.o", "tiny.multiply.o"}
    assert all(object_cache.ENTRY.encode() in path.read_bytes() for path in cache.rglob("*.o"))
    assert in_processes(["add", "multiply", "add"]) == [[ADDED, MULTIPLIED, ADDED, "no numba"]]


def test_a_corrupt_file_is_compiled_anew(cache: Path, add: Native) -> None:
    add.load()
    (path,) = cache.rglob("*.o")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert not add.is_cached
    forget_loaded()
    result = y()
    Native("tiny", "add")(X, result, 5, 2.5)
    np.testing.assert_array_equal(result, X + 2.5)
    assert add.is_cached


def test_without_a_place_for_the_cache_kernels_compute_all_the_same(
    add: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVNEST_KERNEL_CACHE", "/dev/null/kernels")
    result = y()
    add(X, result, 5, 2.5)
    np.testing.assert_array_equal(result, X + 2.5)
    assert not add.is_cached


def test_a_checked_build_names_the_access_outside_an_array(cache: Path) -> None:
    script = (
        "import numpy as np\n"
        "from convnest_core.kernels.simd.native import Native\n"
        "from support.tiny_kernels import tiny_kernels\n"
        "x, y = np.ones(5, np.float32), np.zeros(9, np.float32)\n"
        "with tiny_kernels():\n"
        "    add = Native('tiny', 'add')\n"
        "    add(x, y, 5, 1.0)\n"
        "    for arrays in ((x, y), (y, x[:3])):\n"
        "        try:\n"
        "            add(*arrays, 7, 1.0)\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__, error)\n"
        "print(*x)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=TESTS,
        env={**os.environ, "CONVNEST_KERNEL_CHECKS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert printed == [
        "CoreError the kernel add went outside an array: element 6 of 5",
        "CoreError the kernel add went outside an array: element 6 of 3",
        "3.0 3.0 3.0 1.0 1.0",
    ]


def test_threads_may_call_one_kernel_at_once(add: Native) -> None:
    wrong: list[int] = []

    def call(number: int) -> None:
        x = np.full(4096, number, np.float32)
        result = np.empty_like(x)
        for _ in range(200):
            add(x, result, x.size, 0.5)
            if not (result == number + 0.5).all():
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def in_a_fork(child: Callable[[], bool]) -> bool:
    """Whether the child came to say yes, within ten seconds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            os.write(writing, b"y" if child() else b"n")
        finally:
            os._exit(0)
    os.close(writing)
    killer = threading.Timer(10, os.kill, (pid, 9))
    killer.start()
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    killer.cancel()
    os.waitpid(pid, 0)
    return answer == b"y"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_uses_what_was_loaded_and_loads_more(add: Native, cache: Path) -> None:
    add.load()
    multiply = Native("tiny", "multiply")

    def child() -> bool:
        sum_, product = y(), y()
        add(X, sum_, 5, 2.5)
        multiply(X, product, 5, 2.5)
        return bool((sum_ == X + 2.5).all() and (product == X * 2.5).all())

    assert in_a_fork(child)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_for_a_kernel_that_a_thread_loads(
    add: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, load = threading.Event(), native._load

    def slow(module: str, name: str) -> Any:
        loading.set()
        begun.wait(0.2)  # the fork comes while the lock is held
        return load(module, name)

    begun = threading.Event()
    monkeypatch.setattr(native, "_load", slow)
    thread = threading.Thread(target=add.load)
    thread.start()
    loading.wait(5)

    def child() -> bool:
        result = y()
        add(X, result, 5, 2.5)
        return bool((result == X + 2.5).all())

    assert in_a_fork(child)
    thread.join()
