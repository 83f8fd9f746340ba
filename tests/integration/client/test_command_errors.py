"""Whatever goes wrong, the command says it in one line and with the right status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest
from convnest.cli.__main__ import main
from convnest_api.v1 import jobs_pb2
from google.rpc import error_details_pb2

if TYPE_CHECKING:
    from support.fake_api.world import Failure, FakeConvNest

Fail: TypeAlias = "Callable[..., str]"
TRAIN = ("train", "--dataset", "digits", "--network", "lenet", "--model", "digits-lenet")


@pytest.fixture
def fail(world: FakeConvNest, capsys: pytest.CaptureFixture[str]) -> Fail:
    """Runs one command that is to fail and returns the one line it says, without `error: `."""

    def fail(*arguments: object, status: int = 1) -> str:
        assert main(["--server", world.address, *map(str, arguments)]) == status
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.endswith("\n")
        assert error.count("\n") == 1
        return error.removeprefix("error: ").rstrip("\n")

    return fail


def start(*arguments: str, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "convnest.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CONVNEST_ADDRESS": address},
    )


@pytest.mark.parametrize(
    "command",
    [
        ("dataset", "show", "nothing"),
        ("dataset", "rm", "nothing"),
        ("jobs", "show", "nothing"),
        ("jobs", "watch", "nothing"),
        ("jobs", "cancel", "nothing"),
        ("jobs", "rm", "nothing"),
        ("models", "show", "nothing"),
        ("models", "show", "nothing:3"),
        ("models", "rm", "nothing"),
        ("models", "alias", "nothing", "stable", "1"),
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_what_does_not_exist_is_told(
    fail: Fail, command: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    assert fail(*command, *as_json) == "there is no such thing"


def test_an_unreachable_server_is_told_within_seconds() -> None:
    began = time.monotonic()
    process = start("status", address="127.0.0.1:1")
    out, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert time.monotonic() - began < 10
    assert out == ""
    assert error == (
        "error: no server answers at 127.0.0.1:1 (Connection refused); "
        "start one with 'convnest up', or name another with --server\n"
    )


def test_every_violation_is_named_in_the_one_line(
    world: FakeConvNest, fail: Fail, failure: Callable[..., Failure]
) -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="spec.epochs", description="must be ≥ 1, got 0")
    bad.field_violations.add(field="spec.loss", description="unknown: hinge")
    world.failures["CreateTrainingJob"] = [
        failure(grpc.StatusCode.INVALID_ARGUMENT, "2 violations", [bad])
    ]
    assert fail(*TRAIN) == "spec.epochs: must be ≥ 1, got 0; spec.loss: unknown: hinge"


def test_a_full_queue_says_when_to_come_back(
    world: FakeConvNest, fail: Fail, failure: Callable[..., Failure], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(2)
    world.failures["Classify"] = [
        failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many wait", [retry])
    ]
    assert fail("classify", path, "--model", "m") == "too many wait; try again in 2 s"


def test_a_fault_of_the_server_comes_with_its_id(
    world: FakeConvNest, fail: Fail, failure: Callable[..., Failure]
) -> None:
    info = error_details_pb2.ErrorInfo(domain="convnest", metadata={"error_id": "e-17"})
    world.failures["GetStatus"] = [failure(grpc.StatusCode.INTERNAL, "a fault", [info])]
    assert fail("status") == "a fault (error id e-17)"


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
)
def test_every_status_is_one_line(
    world: FakeConvNest, fail: Fail, failure: Callable[..., Failure], code: grpc.StatusCode
) -> None:
    world.failures["DeleteJob"] = [failure(code, "it\nwent\nwrong")]
    assert "Traceback" not in fail("jobs", "rm", "job-1")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_job_that_failed_fails_its_watch(
    world: FakeConvNest, fail: Fail, as_json: tuple[str, ...]
) -> None:
    world.holds_jobs = True
    main(["--server", world.address, *TRAIN])
    error = jobs_pb2.JobError(reason="OUT_OF_MEMORY", message="killed by the system")
    world.enter("job-1", jobs_pb2.JOB_STATE_FAILED, error=error)
    assert fail("jobs", "watch", "job-1", *as_json) == "job job-1 failed: killed by the system"


def test_a_job_that_was_cancelled_fails_its_watch(world: FakeConvNest, fail: Fail) -> None:
    world.holds_jobs = True
    main(["--server", world.address, *TRAIN])
    world.enter("job-1", jobs_pb2.JOB_STATE_CANCELLED)
    assert fail("jobs", "watch", "job-1") == "job job-1 was cancelled"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("trian",), "No such command 'trian'"),
        (("train", "--epochs", "many"), "--epochs"),
        (("train", "--dataset", "digits"), "--network: give it here or in a job file"),
        (("dataset", "add", "digits"), "give either a PATH or --builtin"),
        (("dataset", "add", "d", "--builtin", "digits", "--shape", "28"), "HEIGHTxWIDTHxCHANNELS"),
        (("models", "alias", "m", "stable"), "give either a VERSION or --delete"),
        (("classify", "--model", "m"), "IMAGE"),
        (("classify", "a.png"), "--model"),
        (("gc", "--rebuild", "--dry-run"), "--rebuild"),
        (("jobs", "list", "--state", "asleep"), "asleep"),
    ],
)
def test_wrong_usage_is_status_2(fail: Fail, command: tuple[str, ...], message: str) -> None:
    assert message in fail(*command, status=2)


def test_naming_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs"]) == 2
    printed = capsys.readouterr()
    assert "watch" in printed.out + printed.err
    assert "error:" not in printed.err


def test_a_picture_that_is_refused_is_named_by_its_path(
    world: FakeConvNest, fail: Fail, failure: Callable[..., Failure], tmp_path: Path
) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"png")
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="images[1].encoded", description="truncated PNG")
    world.failures["Classify"] = [failure(grpc.StatusCode.INVALID_ARGUMENT, "bad", [bad])]
    assert fail("classify", *paths, "--model", "m") == f"{paths[1]}: truncated PNG"


def test_a_missing_picture_is_named(fail: Fail, tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    assert fail("classify", path, "--model", "m") == f"No such file or directory: {path}"


def test_a_folder_that_cannot_be_written_is_named(fail: Fail, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "below"
    assert fail("dataset", "samples", "digits", "--out", out) == f"Not a directory: {out}"


def test_a_wrong_value_in_a_job_file_is_named(fail: Fail, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("dataset: digits\nnetwork: lenet\nmodel: m\nepochs: many\n")
    assert fail("train", "-f", path) == "epochs: must be a whole number ≥ 0, got 'many'"
    path.write_text("dataset: digits\nnetwork: lenet\nmodel: m\npriority: high\n")
    assert fail("train", "-f", path) == "priority: must be a whole number, got 'high'"
    path.write_text("datasets: digits\n")
    assert fail("train", "-f", path) == (
        f"{path}:1: unknown field 'datasets'; did you mean 'dataset'?"
    )


def test_an_unknown_network_is_told_with_those_there_are(fail: Fail) -> None:
    assert fail("networks", "lent") == (
        "no network or layer 'lent'; there are lenet, relu, max_pool"
    )


def test_an_option_needs_a_network_by_name(fail: Fail, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("dataset: digits\nnetwork: [relu]\nmodel: m\n")
    assert "by name" in fail("train", "-f", path, "--option", "a=1")


def test_a_plot_that_cannot_be_written_is_refused_before_the_training(
    world: FakeConvNest, fail: Fail, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "curve.png"
    assert fail(*TRAIN, "--plot", path) == f"No such file or directory: {path.parent}"
    assert fail(*TRAIN, "--plot", tmp_path) == f"Is a directory: {tmp_path}"


def test_drawing_without_matplotlib_says_what_to_install(
    world: FakeConvNest, fail: Fail, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    path = tmp_path / "curve.png"
    assert fail(*TRAIN, "--plot", path) == "drawing needs matplotlib: pip install 'convnest[plot]'"
    assert not world.jobs, "nothing is trained for a curve that cannot be drawn"


def test_an_unexpected_fault_is_one_line_too(fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("never thought of")

    monkeypatch.setattr("convnest.Client.status", break_down)
    assert fail("status").startswith("unexpected RuntimeError: never thought of")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_ctrl_c_leaves_the_job_running_and_says_so(
    world: FakeConvNest, as_json: tuple[str, ...]
) -> None:
    world.holds_jobs = True
    process = start(*TRAIN, "--watch", *as_json, address=world.address)
    with world.changed:
        assert world.changed.wait_for(lambda: world.watchers == 1, timeout=20)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert error == "Job job-1 goes on. Come back with: convnest jobs watch job-1\n"
    assert world.jobs["job-1"].state == jobs_pb2.JOB_STATE_QUEUED


def test_a_reader_that_leaves_is_no_error(world: FakeConvNest) -> None:
    world.epochs = 2000
    world.page_size = 500
    assert main(["--server", world.address, *TRAIN]) == 0
    process = start("jobs", "watch", "job-1", "--json", address=world.address)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["event"] == "job"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(20) != 0


@pytest.mark.parametrize("command", [("jobs", "watch", "job-1"), ("dataset", "list")])
def test_output_that_cannot_say_it_all_is_no_error(
    world: FakeConvNest, command: tuple[str, ...]
) -> None:
    world.add_dataset("digits")
    assert main(["--server", world.address, *TRAIN]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "convnest.cli", *command],
        capture_output=True,
        env={
            **os.environ,
            "CONVNEST_ADDRESS": world.address,
            "PYTHONIOENCODING": "ascii",
        },
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    done.stdout.decode("ascii")
