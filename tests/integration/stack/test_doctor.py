from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from convnest.cli.__main__ import main
from convnest.stack import Programs, Stack, StackOptions
from convnest.stack.checks import Check, Verdict, all_checks
from convnest.stack.checks.disk import disk_checks
from convnest.stack.checks.numerics import numerics_checks
from convnest.stack.checks.redis_checks import redis_checks
from convnest.stack.checks.service import check_service

# What a worker's report says when BLAS chooses freely, and when it is told to be older.
_REPORT = """
import json, os
core = os.environ.get("OPENBLAS_CORETYPE", "SkylakeX")
generated = json.loads(os.environ.get("GENERATED", "null"))
print(json.dumps({"generated": generated, "blas": "openblas 0.3", "blas_core": core,
                  "blas_threads": os.environ["OPENBLAS_NUM_THREADS"], "cpu": "x86_64 AVX512"}))
"""


@pytest.fixture(autouse=True)
def _untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)


def _by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_machine_that_runs_these_tests_has_no_problem(options: StackOptions) -> None:
    checks = _by_name(list(all_checks(options)))
    assert [check for check in checks.values() if check.verdict is Verdict.PROBLEM] == []
    assert {"python", "redis", "redis starts", "blas", "memory", "disk"} <= set(checks)


def test_the_command_tells_json_and_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", "--data-dir", str(tmp_path)]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {"name", "verdict", "found", "advice"} == set(checks[0])


def test_a_problem_makes_the_command_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVNEST_STATE_URL", "redis://:secret@127.0.0.1:1/0")
    assert main(["doctor", "--data-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in told
    assert "secret" not in told


def test_a_running_stack_is_seen(options: StackOptions, programs: Programs) -> None:
    assert check_service(options, None).found.startswith("none at")
    with Stack(options, programs=programs) as stack:
        check = check_service(options, None)
        assert (check.verdict, check.found) == (
            Verdict.OK,
            f"{stack.address} serves, with a worker",
        )


def test_a_data_directory_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    checks = _by_name(list(disk_checks(file)))
    assert checks["data directory"].verdict is Verdict.PROBLEM
    assert list(tmp_path.iterdir()) == [file]


def test_redis_files_that_cannot_be_read_are_a_problem_before_the_start(
    options: StackOptions,
) -> None:
    (options.data_dir / "redis-state" / "appendonlydir").mkdir(parents=True)
    check = _by_name(list(redis_checks(options)))["redis starts"]
    redis = _by_name(list(redis_checks(options)))["redis"]
    expected = Verdict.PROBLEM if redis.found.startswith("6.") else Verdict.OK
    assert check.verdict is expected


@pytest.mark.parametrize(
    ("environment", "verdict"),
    [
        ({}, Verdict.OK),
        ({"OPENBLAS_CORETYPE": "SkylakeX"}, Verdict.OK),
        ({"OPENBLAS_CORETYPE": "Haswell"}, Verdict.WARNING),
        ({"OPENBLAS_L2_SIZE": "262144"}, Verdict.WARNING),
    ],
)
def test_settings_that_slow_blas_down_are_told(
    environment: dict[str, str], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    blas = _by_name(list(numerics_checks([sys.executable, "-c", _REPORT])))["blas"]
    assert blas.verdict is verdict
    assert "1 thread" in blas.found
    assert all(name in blas.advice for name in environment) or verdict is Verdict.OK


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("raise ImportError('numpy is broken')", "ImportError: numpy is broken"),
        ("print('no JSON')", "cannot be read"),
    ],
)
def test_a_network_library_that_does_not_run_is_a_problem(script: str, why: str) -> None:
    (check,) = numerics_checks([sys.executable, "-c", script])
    assert check.verdict is Verdict.PROBLEM
    assert why in check.found


@pytest.mark.parametrize(
    ("ready", "problem", "verdict", "advice"),
    [
        (40, "", Verdict.OK, ""),
        (12, "", Verdict.WARNING, "convnest_core.kernels compile"),
        (0, "/k is read-only", Verdict.WARNING, "/k is read-only: set CONVNEST_KERNEL_CACHE"),
    ],
)
def test_the_generated_kernels_are_counted(
    monkeypatch: pytest.MonkeyPatch, ready: int, problem: str, verdict: Verdict, advice: str
) -> None:
    generated = {
        "vectors": "avx2, 8 float32 a vector",
        "folder": "/k",
        "problem": problem,
        "ready": ready,
        "total": 40,
    }
    monkeypatch.setenv("GENERATED", json.dumps(generated))
    kernels = _by_name(list(numerics_checks([sys.executable, "-c", _REPORT])))["kernels"]
    assert kernels.found == f"generated (avx2, 8 float32 a vector), {ready} of 40 in /k"
    assert kernels.verdict is verdict
    assert advice in kernels.advice


@pytest.mark.parametrize(("setting", "verdict"), [("numpy", "ok"), ("auto", "warning")])
def test_numpy_s_kernels_are_well_where_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, setting: str, verdict: str
) -> None:
    monkeypatch.setenv("CONVNEST_KERNELS", setting)
    monkeypatch.delenv("GENERATED", raising=False)
    kernels = _by_name(list(numerics_checks([sys.executable, "-c", _REPORT])))["kernels"]
    assert kernels.verdict == verdict
