"""Stored records as messages: nothing is lost, and every kind has its form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from convnest_api.v1 import jobs_pb2
from convnest_server import convert
from convnest_store.blobs import Blob
from convnest_store.catalog import DatasetRecord
from convnest_store.events import Event
from convnest_store.images import ImageShape
from convnest_store.jobs import Failure, Job
from convnest_store.registry import Model, ModelVersion, Preprocessing
from convnest_store.states import JobKind, JobState, Wish

TRAIN = {
    "dataset": "digits",
    "dataset_digest": "sha256:d",
    "model": "m",
    "network": {"name": "lenet", "options": {"padding": 2}},
    "epochs": 3,
    "batch_size": 64,
    "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.0},
    "loss": "cross_entropy",
    "validation_fraction": 0.15,
    "seed": 2**63 - 1,
    "checkpoint_interval_s": 30.0,
}
SPECS: dict[JobKind, dict[str, Any]] = {
    JobKind.TRAIN: TRAIN,
    JobKind.INGEST: {"dataset": "d", "builtin": "", "format": "zip", "shape": "8x9x3"},
    JobKind.COLLECT_GARBAGE: {"dry_run": True, "min_age_s": 60.0},
    JobKind.REBUILD: {},
}
RESULTS: dict[JobKind, dict[str, Any]] = {
    JobKind.TRAIN: {
        "model": "m",
        "version": 3,
        "weights_digest": "sha256:w",
        "validation_accuracy": 0.5,
        "test_accuracy": None,
    },
    JobKind.INGEST: {"dataset": "d", "digest": "sha256:x"},
    JobKind.COLLECT_GARBAGE: {"blobs": 1, "bytes": 2, "kept": 3},
    JobKind.REBUILD: {"model_versions": 1, "datasets": 2, "problems": ["one"]},
}
FAILURE = Failure("SLICE_CRASHED", "it died", "images", "tail", 2, 1_700_000_000_000)
EVENTS: dict[str, dict[str, Any]] = {
    "state": {"state": "RUNNING", "reason": "", "worker": "w"},
    "epoch": {
        "epoch": 1,
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "validation_loss": 1.5,
        "validation_accuracy": 0.25,
        "seconds": 2.0,
    },
    "progress": {"phase": "loading"},
    "checkpoint": {"epoch": 1, "batch": 2, "size_bytes": 3},
    "log": {"level": "info", "text": "hello"},
    "truncated": {"events": 7},
}


def job(kind: JobKind, **fields: Any) -> Job:
    record = Job(
        id="0123456789abcde",
        kind=kind,
        state=JobState.QUEUED,
        spec=SPECS[kind],
        priority=-5,
        created_ms=1_700_000_000_001,
        started_ms=0,
        ended_ms=0,
        attempt=2,
        failed_attempts=1,
        max_attempts=5,
        wish=Wish.NONE,
        worker="",
        progress=None,
        result=None,
        error=None,
        failures=(),
        checkpoints=(),
    )
    return replace(record, **fields)


@pytest.mark.parametrize("state", JobState)
def test_every_state_has_a_number(state: JobState) -> None:
    assert jobs_pb2.JobState.Name(convert.STATES[state]) == f"JOB_STATE_{state}"
    assert len(set(convert.STATES.values())) == len(JobState)


@pytest.mark.parametrize("kind", JobKind)
def test_every_kind_tells_its_spec_and_its_result(kind: JobKind) -> None:
    message = convert.job(job(kind))
    assert message.WhichOneof("spec") == kind.value
    assert message.WhichOneof("result") is None
    assert message.priority == -5
    assert message.create_time.ToMilliseconds() == 1_700_000_000_001
    assert not message.HasField("start_time")
    done = convert.job(job(kind, state=JobState.SUCCEEDED, result=RESULTS[kind]))
    assert done.WhichOneof("result") == f"{kind.value}_result"


def test_a_train_spec_comes_back_as_it_was_stored() -> None:
    message = convert.train_spec(TRAIN)
    assert message.seed == 2**63 - 1
    assert message.network["options"]["padding"] == 2  # type: ignore[index]
    assert message.optimizer.HasField("weight_decay")


def test_failures_and_wishes_are_told() -> None:
    record = job(
        JobKind.TRAIN,
        state=JobState.RUNNING,
        wish=Wish.CANCEL,
        failures=(FAILURE,),
        error=FAILURE,
        progress={"phase": "training", "done": 3, "total": 9},
    )
    message = convert.job(record)
    assert message.cancel_requested
    assert message.progress.done == 3
    assert message.error == message.failures[0]
    assert (message.error.reason, message.error.field, message.error.attempt) == (
        "SLICE_CRASHED",
        "images",
        2,
    )


@pytest.mark.parametrize("kind", EVENTS)
def test_every_kind_of_event_has_its_form(kind: str) -> None:
    message = convert.event(Event(4, kind, 1_700_000_000_000, EVENTS[kind]))
    assert message.cursor == 4
    assert message.WhichOneof("event") is not None


def test_an_event_of_a_fault_brings_its_error() -> None:
    error = {"reason": "WORKER_LOST", "message": "gone", "attempt": 1, "time_ms": "1700000000000"}
    data = {"state": "QUEUED", "reason": "worker lost", "worker": "w", "error": error}
    message = convert.event(Event(4, "state", 1, data))
    assert message.state_changed.error.reason == "WORKER_LOST"


def test_an_event_of_no_kind_is_a_fault() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        convert.event(Event(1, "surprise", 1, {}))


def test_a_dataset_is_told_by_class(digits: DatasetRecord) -> None:
    message = convert.dataset(digits)
    assert (message.train_images, message.test_images) == (5000, 1000)
    assert [(c.name, c.train, c.test) for c in message.classes][9] == ("9", 500, 100)
    assert (message.shape.height, message.shape.width, message.shape.channels) == (28, 28, 1)


def test_a_model_and_its_version_are_told() -> None:
    model = convert.model(Model("m", (1, 4), {"stable": 1}, 1_700_000_000_000))
    assert (model.latest_version, model.versions, dict(model.aliases)) == (4, 2, {"stable": 1})
    version = ModelVersion(
        model="m",
        version=4,
        job_id="j",
        network={"name": "lenet", "options": {}},
        classes=("a", "b"),
        preprocessing=Preprocessing(ImageShape(2, 3, 1), (0.5,), (0.25,)),
        parameters=10,
        weights=Blob("k", "sha256:w", 40),
        dataset="digits",
        dataset_digest="sha256:d",
        spec=TRAIN,
        history=({**EVENTS["epoch"], "epoch": 1.0},),
        test_accuracy=None,
        fingerprint={"cpu": "x"},
        manifest_key="mk",
        created_ms=1,
        aliases=("stable",),
    )
    message = convert.model_version(version)
    assert message.history[0].epoch == 1
    assert not message.HasField("test_accuracy")
    assert message.preprocessing.mean == [0.5]
    assert ModelVersion.read(version.dump()) == replace(version, aliases=())
