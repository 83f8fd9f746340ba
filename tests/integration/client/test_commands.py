"""The `convnest` command against a server in memory: what it prints, and with which status."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import convnest
import pytest
from convnest.cli.__main__ import main
from convnest_api.v1 import classification_pb2, datasets_pb2, jobs_pb2, training_pb2

if TYPE_CHECKING:
    from support.fake_api.world import FakeConvNest

Run: TypeAlias = "Callable[..., str]"
TRAIN = ("train", "--dataset", "digits", "--network", "lenet", "--model", "digits-lenet")


@pytest.fixture
def run(world: FakeConvNest, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command that is to succeed and returns what it printed."""

    def run(*arguments: object) -> str:
        status = main(["--server", world.address, *map(str, arguments)])
        printed = capsys.readouterr()
        assert (status, printed.err) == (0, "")
        assert "\x1b" not in printed.out
        return printed.out

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Runs one command with --json and returns the one document that it printed."""
    return lambda *arguments: json.loads(run(*arguments, "--json"))


def test_a_builtin_dataset_is_added_and_shown(world: FakeConvNest, run: Run) -> None:
    text = run("dataset", "add", "digits", "--builtin", "digits")
    assert text.splitlines()[-1].startswith("✓ digits · 1,500 images to train with, 300 held out")
    assert re.search(r"digits +28×28×1 +10 +1,500 +300 +1\.4 MB", run("dataset", "list"))
    assert "1,500 images to train with" in run("dataset", "show", "digits")
    assert run("dataset", "rm", "digits") == "removed dataset digits\n"
    assert "no datasets" in run("dataset", "list")


def test_a_folder_is_added_with_a_shape(world: FakeConvNest, run: Run, tmp_path: Path) -> None:
    (tmp_path / "rose").mkdir()
    (tmp_path / "rose" / "1.png").write_bytes(b"rose")
    run("dataset", "add", "flowers", tmp_path, "--shape", "32x48x3")
    header = world.requests[0]
    assert isinstance(header, datasets_pb2.UploadHeader)
    assert (header.shape.height, header.shape.width, header.shape.channels) == (32, 48, 3)
    assert zipfile.ZipFile(io.BytesIO(world.uploaded)).namelist() == ["rose/1.png"]


def test_adding_need_not_wait(world: FakeConvNest, run: Run) -> None:
    world.holds_jobs = True
    text = run("dataset", "add", "digits", "--builtin", "digits", "--no-wait")
    assert text == "job job-1 is queued; watch it with: convnest jobs watch job-1\n"


def test_samples_are_written_by_index_and_label(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "samples"
    run("dataset", "samples", "digits", "--out", out, "--count", 2, "--split", "test")
    assert sorted(path.name for path in out.iterdir()) == ["100-0.png", "101-1.png"]


def test_training_is_watched_line_by_line_without_a_terminal(run: Run) -> None:
    lines = run(*TRAIN, "--epochs", 3, "--watch").splitlines()
    assert lines[0] == "job job-1 · lenet on digits → digits-lenet"
    assert lines[2].split() == ["epoch", "loss", "accuracy", "val.", "loss", "val.", "acc.", "time"]
    assert lines[3].split() == [*("1/3", "1.0000", "70.0", "%", "0.8000", "80.0", "%", "2.1", "s")]
    assert lines[-1] == (
        "✓ digits-lenet:1 · validation accuracy 99.1 % · test accuracy 98.7 % · 42.0 s"
    )
    assert len({len(line) for line in lines[2:6]}) == 1, "the rows are aligned"


def test_every_flag_of_training_reaches_the_server(world: FakeConvNest, run: Run) -> None:
    run(
        *TRAIN,
        *("--option", "hidden=84", "--option", "channels=[6, 16]"),
        *("--epochs", 5, "--batch-size", 32, "--learning-rate", "1e-2", "--momentum", 0.5),
        *("--optimizer", "sgd", "--optimizer", "nesterov=true"),
        *("--schedule", "cosine", "--schedule", "warmup_epochs=1.5", "--label-smoothing", 0.1),
        *("--augment", "crop", "--augment", "flip"),
        *("--keep", "best", "--stop-patience", 3),
        *("--weight-decay", 0, "--loss", "squared", "--validation", 0.2, "--seed", 9),
        *("--checkpoint-interval", 5, "--priority", -3),
    )
    request = world.requests[0]
    assert isinstance(request, training_pb2.CreateTrainingJobRequest)
    assert request.priority == -3
    expected = jobs_pb2.TrainSpec(
        dataset="digits",
        model="digits-lenet",
        epochs=5,
        batch_size=32,
        optimizer=jobs_pb2.Optimizer(
            name="sgd", nesterov=True, learning_rate=0.01, momentum=0.5, weight_decay=0
        ),
        schedule=jobs_pb2.Schedule(name="cosine", warmup_epochs=1.5),
        loss="squared",
        label_smoothing=0.1,
        augment=[jobs_pb2.Augmentation(name="crop"), jobs_pb2.Augmentation(name="flip")],
        validation_fraction=0.2,
        keep="best",
        stop_patience=3,
        seed=9,
        checkpoint_interval_s=5,
    )
    expected.network.update({"name": "lenet", "options": {"hidden": 84, "channels": [6, 16]}})
    assert request.spec == expected


def test_flags_override_the_job_file(world: FakeConvNest, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "dataset: digits\nnetwork: {name: mlp, options: {hidden: 10, depth: 2}}\n"
        "model: m\nepochs: 9\nweight_decay: 1e-4\npriority: 7\n"
    )
    run("train", "-f", file, "--epochs", 2, "--option", "hidden=20")
    request = world.requests[0]
    assert isinstance(request, training_pb2.CreateTrainingJobRequest)
    assert (request.spec.epochs, request.spec.optimizer.weight_decay) == (2, 1e-4)
    assert request.spec.optimizer.name == ""
    assert request.priority == 7
    assert request.spec.network["options"]["hidden"] == 20  # type: ignore[index]  # a struct
    assert request.spec.network["options"]["depth"] == 2  # type: ignore[index]  # a struct


def test_a_job_is_only_checked(world: FakeConvNest, run: Run) -> None:
    text = run(*TRAIN, "--validate-only")
    assert re.search(r"features\.0 +conv +28×28×6 +156", text)
    assert not world.jobs


def test_the_learning_curve_is_drawn(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    assert run(*TRAIN, "--plot", path).splitlines()[-1] == f"learning curve: {path}"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_jobs_are_listed_shown_watched_cancelled_and_removed(world: FakeConvNest, run: Run) -> None:
    run(*TRAIN)
    world.holds_jobs = True
    run(*TRAIN)
    lines = run("jobs", "list").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["job-2", "queued"], ["job-1", "succeeded"]]
    assert len(run("jobs", "list", "--state", "queued").splitlines()) == 2
    assert re.search(r"what +lenet on digits → digits-lenet", run("jobs", "show", "job-1"))
    assert run("jobs", "watch", "job-1").splitlines()[-1].startswith("✓ digits-lenet:1")
    assert run("jobs", "pause", "job-2") == (
        "job job-2 is paused; go on with: convnest jobs resume job-2\n"
    )
    queued = "job job-2 is queued with priority 0, number 1 in the queue\n"
    assert run("jobs", "resume", "job-2") == queued
    assert re.search(r"queue +number 1", run("jobs", "show", "job-2"))
    assert run("jobs", "priority", "job-2", "--", "-5") == queued.replace("0,", "-5,")
    assert run("jobs", "retry", "job-1").startswith("job job-1 is succeeded with priority 0")
    assert run("jobs", "cancel", "job-2") == "job job-2 is cancelled\n"
    assert run("jobs", "rm", "job-2") == "removed job job-2\n"


def test_models_are_listed_shown_aliased_and_removed(world: FakeConvNest, run: Run) -> None:
    world.add_model("digits-lenet", versions=2)
    assert run("models", "alias", "digits-lenet", "stable", 1) == (
        "digits-lenet@stable is version 1\n"
    )
    assert re.search(r"digits-lenet +2 +2 .*stable → 1", run("models", "list"))
    assert re.search(r"2 .* 98\.7 % +61,706 +246\.8 kB", run("models", "show", "digits-lenet"))
    assert re.search(r"version +digits-lenet:1", run("models", "show", "digits-lenet:1"))
    assert run("models", "alias", "digits-lenet", "stable", "--delete") == (
        "removed digits-lenet@stable\n"
    )
    assert run("models", "rm", "digits-lenet:1") == "removed digits-lenet:1\n"
    assert run("models", "rm", "digits-lenet") == "removed digits-lenet\n"


def test_pictures_are_classified_with_bars(run: Run, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(b"png")
    lines = run("classify", *paths, "--model", "digits-lenet", "--top", 2).splitlines()
    assert lines[0] == "digits-lenet:1"
    assert lines[2].split() == [str(paths[0]), "7", "87.5", "%", "━" * 21]
    assert lines[3].split() == ["1", "12.5", "%", "━━━"]


def test_more_pictures_than_a_call_takes_are_all_classified_by_one_version(
    run: Run, world: FakeConvNest, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    answers = json.loads(run("classify", *[path] * 300, "--model", "m", "--json"))
    assert len(answers) == 300
    calls = [
        (request.model, len(request.images))
        for request in world.requests
        if isinstance(request, classification_pb2.ClassifyRequest)
    ]
    assert calls == [("m", 256), ("m:1", 44)]


def test_the_state_of_the_whole_is_shown(run: Run) -> None:
    text = run("status")
    assert "✓ version 7.2" in text
    assert "✗ refused" in text
    assert "host:4711 · runs job job-1 · up 2:05" in text
    assert re.search(r"digits-lenet:1 +ready +17", text)


def test_networks_and_layers_are_listed_with_their_options(
    run: Run, run_json: Callable[..., Any]
) -> None:
    text = run("networks")
    assert re.search(r'lenet  LeNet-5\n +activation += "relu" +after each layer', text)
    assert re.search(r"max_pool  largest\n +size +needed +side of the window", text)
    assert "lenet" not in run("networks", "relu")
    assert run_json("networks")["networks"][0]["options"] == [
        {"name": "activation", "doc": "after each layer", "default": '"relu"'}
    ]


def test_garbage_is_collected_and_models_brought_back(world: FakeConvNest, run: Run) -> None:
    assert run("gc", "--dry-run").splitlines()[-1] == "would delete 2 files, 4.1 kB; kept 7"
    assert run("gc").splitlines()[-1] == "deleted 2 files, 4.1 kB; kept 7"
    assert run("gc", "--rebuild").splitlines()[-1] == ("3 model versions and 0 datasets are back")


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"convnest {convnest.__version__}\n"


def test_datasets_as_json(
    world: FakeConvNest, run_json: Callable[..., Any], tmp_path: Path
) -> None:
    added = run_json("dataset", "add", "digits", "--builtin", "digits")
    assert added["job"]["state"] == "SUCCEEDED"
    assert added["dataset"]["shape"] == {"height": 28, "width": 28, "channels": 1}
    assert "job" in run_json("dataset", "add", "more", "--builtin", "digits", "--no-wait")
    assert [one["name"] for one in run_json("dataset", "list")] == ["digits", "more"]
    assert run_json("dataset", "show", "digits")["create_time"] == "2023-11-14T22:13:20+00:00"
    (sample,) = run_json("dataset", "samples", "digits", "--out", tmp_path, "--count", 1)
    assert sample == {"path": str(tmp_path / "100-0.png"), "label": "0", "index": 100}
    assert run_json("dataset", "rm", "digits") == {"removed": "digits"}


def test_jobs_as_json(world: FakeConvNest, run_json: Callable[..., Any]) -> None:
    job = run_json(*TRAIN, "--epochs", 3)["job"]
    assert (job["id"], job["kind"], job["spec"]["epochs"]) == ("job-1", "TRAIN", 3)
    assert not [key for key in job if key.startswith("_")]
    checked = run_json(*TRAIN, "--validate-only")
    assert checked["layers"][0]["output_shape"] == [28, 28, 6]
    assert run_json("jobs", "show", "job-1")["result"]["test_accuracy"] == 0.987
    world.holds_jobs = True
    run_json(*TRAIN)
    assert [job["id"] for job in run_json("jobs", "list")] == ["job-2", "job-1"]
    assert run_json("jobs", "cancel", "job-2")["state"] == "CANCELLED"
    assert run_json("jobs", "rm", "job-2") == {"removed": "job-2"}


@pytest.mark.parametrize("command", [(*TRAIN, "--watch"), ("jobs", "watch", "job-1")])
def test_a_watch_as_json_is_a_line_for_each_event(run: Run, command: tuple[str, ...]) -> None:
    if command[0] == "jobs":
        run(*TRAIN)
    lines = [json.loads(line) for line in run(*command, "--json").splitlines()]
    names = ["state_changed"] * 2 + ["progress_made", "epoch_finished"] * 3 + ["state_changed"]
    assert [line["event"] for line in lines] == ["job", *names, "job"]
    assert [line["cursor"] for line in lines[1:-1]] == list(range(1, 10))
    assert lines[4]["metrics"]["validation_accuracy"] == 0.8
    assert lines[-1]["job"]["state"] == "SUCCEEDED"


def test_models_as_json(world: FakeConvNest, run_json: Callable[..., Any]) -> None:
    world.add_model("digits-lenet", versions=2)
    alias = ("models", "alias", "digits-lenet", "stable")
    assert run_json(*alias, 1)["aliases"] == {"stable": 1}
    assert run_json("models", "list")[0]["latest_version"] == 2
    assert len(run_json("models", "show", "digits-lenet")["versions"]) == 2
    assert run_json("models", "show", "digits-lenet:1")["fingerprint"] == {"kernels": "numpy"}
    assert run_json(*alias, "--delete")["aliases"] == {}
    assert run_json("models", "rm", "digits-lenet") == {"removed": "digits-lenet"}


def test_classes_as_json(run_json: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    (answer,) = run_json("classify", path, "--model", "digits-lenet", "--top", 1)
    assert answer == {
        "image": str(path),
        "model": "digits-lenet",
        "version": 1,
        "top": [{"label": "7", "index": 7, "probability": 0.875}],
    }


def test_the_whole_as_json(run_json: Callable[..., Any]) -> None:
    assert run_json("status")["workers"][0]["models"][0]["state"] == "READY"
    assert run_json("gc", "--dry-run")["result"] == {"blobs": 2, "bytes": 4096, "kept": 7}
    assert run_json("gc", "--rebuild")["result"]["model_versions"] == 3
