"""A worker whose kernels are not compiled yet compiles them first, or says why it cannot."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from convnest import JobState, WorkerStatus
from convnest.stack.part import Heard
from convnest.stack.parts import heard_of_kernels
from convnest_core.kernels import kernel_set
from support.hooks import hooked
from support.process_tree import descendants, running_module, still_there
from support.shop import Shop, StartWorker
from support.training_runs import QUICK
from support.waiting import until

COMPILER = "convnest_worker.compiling"

pytestmark = pytest.mark.skipif(kernel_set() == "numpy", reason="nothing is compiled")


@pytest.fixture
def kernels(tmp_path: Path) -> dict[str, str]:
    """Environment of a worker whose kernels compile once `tmp_path / "go"` is there."""
    return {**hooked("slow_kernels"), "CONVNEST_TEST_KERNELS": str(tmp_path)}


def status_of(shop: Shop, name: str) -> WorkerStatus | None:
    return next((one for one in shop.client.status().workers if one.name == name), None)


def told_of(shop: Shop, name: str, says: Callable[[WorkerStatus], bool]) -> WorkerStatus:
    """The worker's status once it says that; it tells every second."""

    def told() -> bool:
        worker = status_of(shop, name)
        return worker is not None and says(worker)

    until(told, within_s=20, what=f"{name} says so")
    worker = status_of(shop, name)
    assert worker is not None
    return worker


def heard(shop: Shop, name: str) -> list[Heard]:
    """What `convnest up` tells of it."""
    lines = shop.fleet.log(name).splitlines()
    return [told for told in map(heard_of_kernels, lines) if told is not None]


def wait_until_it_compiles(shop: Shop, name: str) -> None:
    told_of(shop, name, lambda worker: worker.preparing == "compiling kernels 0/3")


def test_no_job_waits_in_a_worker_that_compiles(
    shop: Shop, start_worker: StartWorker, kernels: dict[str, str]
) -> None:
    start_worker("compiling", **kernels)
    wait_until_it_compiles(shop, "compiling")
    job = shop.client.train(**QUICK, model="compiled-first")
    start_worker("ready")  # its kernels are as they are; the hint is not lost on the other
    assert job.wait(timeout_s=60).state is JobState.SUCCEEDED
    waiting = shop.client.train(**QUICK, model="compiled-second")
    waiting.wait(timeout_s=60)
    compiling = status_of(shop, "compiling")
    assert compiling is not None
    assert compiling.preparing == "compiling kernels 0/3"
    assert compiling.models == ()


def test_a_worker_takes_jobs_once_its_kernels_are_compiled(
    shop: Shop, start_worker: StartWorker, kernels: dict[str, str], tmp_path: Path
) -> None:
    worker = start_worker("patient", **kernels)
    wait_until_it_compiles(shop, "patient")
    job = shop.client.train(**QUICK, model="after-compiling")
    until(lambda: running_module(worker.pid, COMPILER), within_s=5, what="a process compiles")
    assert job.refresh().state is JobState.QUEUED
    (tmp_path / "go").touch()
    assert job.wait(timeout_s=60).state is JobState.SUCCEEDED
    assert {path.name for path in tmp_path.iterdir()} == {"go", "a", "b", "c"}
    status = told_of(shop, "patient", lambda status: not status.preparing)
    assert status.warning == ""
    assert status.fingerprint["kernels"].startswith("simd")
    assert not running_module(worker.pid, COMPILER), "its memory is returned"
    assert heard(shop, "patient") == [
        ("progress", "compiling kernels 0/3"),
        ("progress", "3 kernels compiled"),
    ]


def test_a_worker_without_kernels_says_why_and_computes_with_numpy(
    shop: Shop, start_worker: StartWorker, kernels: dict[str, str], tmp_path: Path
) -> None:
    for name in ("go", "fail"):
        (tmp_path / name).touch()
    start_worker("by-numpy", **kernels)
    job = shop.client.train(**QUICK, model="by-numpy")
    ended = job.wait(timeout_s=60)
    assert ended.state is JobState.SUCCEEDED
    worker = told_of(shop, "by-numpy", lambda worker: worker.warning != "")
    assert "cannot be compiled: no such instruction" in worker.warning
    assert worker.fingerprint["kernels"] == "numpy"
    (why,) = heard(shop, "by-numpy")[1:]
    assert why.kind == "warning"
    assert "no such instruction" in why.detail
    version = next(shop.client.models.versions("by-numpy"))
    assert version.fingerprint["kernels"] == "numpy", "what its slices compute with"


def test_a_killed_compiler_is_told_of(
    shop: Shop, start_worker: StartWorker, kernels: dict[str, str]
) -> None:
    worker = start_worker("killed-compiler", **kernels)
    wait_until_it_compiles(shop, "killed-compiler")
    until(lambda: running_module(worker.pid, COMPILER), within_s=5, what="a process compiles")
    for pid in running_module(worker.pid, COMPILER):
        pid.kill()

    told_of(shop, "killed-compiler", lambda status: "signal 9 (SIGKILL)" in status.warning)


def test_a_worker_that_compiles_stops_at_once(
    shop: Shop, start_worker: StartWorker, kernels: dict[str, str]
) -> None:
    worker = start_worker("stopped", **kernels)
    wait_until_it_compiles(shop, "stopped")
    until(lambda: running_module(worker.pid, COMPILER), within_s=5, what="a process compiles")
    children = descendants(worker.pid)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=5) == 0
    until(lambda: not still_there(children), within_s=2, what="the compiler is gone")
