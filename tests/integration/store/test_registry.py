"""Models: versions that are never used twice, aliases, publication in one step, restoring."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis
from convnest_store import scripts
from convnest_store.blobs import Blob
from convnest_store.catalog import DatasetCatalog, DatasetRecord
from convnest_store.errors import FailedPrecondition, InvalidInput, NotFound, QuotaExceeded
from convnest_store.images import ImageShape
from convnest_store.registry import ModelReference, ModelRegistry, ModelVersion, Preprocessing
from convnest_store.states import JobState
from support.desk import Desk

VERSION = ModelVersion(
    model="m",
    version=1,
    job_id="j",
    network={"name": "lenet", "options": {}},
    classes=("a", "b"),
    preprocessing=Preprocessing(ImageShape(2, 3, 1), (0.5,), (0.25,)),
    parameters=10,
    weights=Blob("k", "sha256:w", 40),
    dataset="digits",
    dataset_digest="sha256:d",
    spec={},
    history=({"epoch": 1, "train_loss": 0.1},),
    test_accuracy=None,
    fingerprint={"cpu": "x"},
    manifest_key="mk",
    created_ms=1_700_000_000_000,
)


def publish(desk: Desk, model: str = "m") -> int:
    """Trains another version."""
    desk.new()
    lease = desk.taken()
    number, now_ms = desk.jobs.reserve_version(lease, model)
    version = replace(VERSION, model=model, version=number, created_ms=now_ms)
    desk.jobs.publish_model(lease, version.dump(), result={"version": number})
    assert desk.state(lease.job.id) is JobState.SUCCEEDED
    return number


def test_a_publication_shows_model_and_state_together(desk: Desk, models: ModelRegistry) -> None:
    assert publish(desk) == 1
    found = models.resolve(ModelReference.parse("m"))
    assert replace(found, created_ms=0) == replace(VERSION, created_ms=0)
    assert models.get("m").latest == 1


def test_a_number_is_never_used_twice(desk: Desk, models: ModelRegistry) -> None:
    assert [publish(desk) for _ in range(3)] == [1, 2, 3]
    models.delete("m", 3)
    assert models.get("m").latest == 2
    assert publish(desk) == 4
    models.delete("m")
    with pytest.raises(NotFound):
        models.get("m")
    assert publish(desk) == 5
    assert models.get("m").versions == (5,)


def test_the_last_version_takes_the_model_along(desk: Desk, models: ModelRegistry) -> None:
    publish(desk)
    assert [version.version for version in models.delete("m", 1)] == [1]
    assert models.list() == []


def test_aliases_point_and_hold(desk: Desk, models: ModelRegistry) -> None:
    publish(desk)
    publish(desk)
    assert models.set_alias("m", "stable", 1) == {"stable": 1}
    assert models.resolve(ModelReference.parse("m@stable")).version == 1
    assert models.resolve(ModelReference.parse("m@stable")).aliases == ("stable",)
    with pytest.raises(FailedPrecondition, match="alias stable of model m points to version 1"):
        models.delete("m", 1)
    assert models.set_alias("m", "stable", 2) == {"stable": 2}
    models.delete("m", 1)
    with pytest.raises(NotFound, match="model m has no version 9"):
        models.set_alias("m", "stable", 9)
    with pytest.raises(NotFound, match="model x does not exist"):
        models.set_alias("x", "stable", 1)
    with pytest.raises(NotFound, match="model m has no alias other"):
        models.set_alias("m", "other", None)
    assert models.set_alias("m", "stable", None) == {}
    models.delete("m")


def test_aliases_are_bounded(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MAX_ALIASES", 2)
    desk, models = Desk(client), ModelRegistry(client)
    publish(desk)
    models.set_alias("m", "a", 1)
    models.set_alias("m", "b", 1)
    with pytest.raises(QuotaExceeded, match="model m has 2 aliases already; remove one first"):
        models.set_alias("m", "c", 1)
    assert models.set_alias("m", "a", 1) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n", "model n does not exist; did you mean m?"),
        ("m:3", "model m has no version 3; the latest is 1"),
        ("m@stabel", "model m has no alias stabel; did you mean stable?"),
    ],
)
def test_what_is_missing_is_told_with_what_is_near(
    desk: Desk, models: ModelRegistry, text: str, message: str
) -> None:
    publish(desk)
    models.set_alias("m", "stable", 1)
    if text == "n":
        message = "model n does not exist"  # one letter is near to nothing
    with pytest.raises(NotFound) as caught:
        models.resolve(ModelReference.parse(text))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["", "a/b", "m:", "m:x", "m@", "m@1", "m@a/b", "M", "m:1:2", "m@\n"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ModelReference.parse(text)
    assert caught.value.field == "model"


def test_models_and_versions_are_listed_in_pages(desk: Desk, models: ModelRegistry) -> None:
    for model in ("b", "a", "c"):
        publish(desk, model)
    publish(desk, "a")
    assert [model.name for model in models.list()] == ["a", "b", "c"]
    assert [model.name for model in models.list(after="a", limit=1)] == ["b"]
    assert [v.version for v in models.versions("a")] == [2, 1]
    assert [v.version for v in models.versions("a", before=2)] == [1]
    assert models.versions("a", before=1) == []


def test_a_lost_version_is_restored_and_its_number_stays_used(
    desk: Desk, models: ModelRegistry
) -> None:
    third = replace(VERSION, version=3)
    assert models.restore(third)
    assert not models.restore(replace(third, parameters=99))  # never over what is there
    assert models.resolve(ModelReference.parse("m:3")) == third
    assert models.restore(VERSION)
    assert models.get("m").versions == (1, 3)
    assert publish(desk) == 4


def test_a_lost_dataset_is_restored(datasets: DatasetCatalog) -> None:
    record = DatasetRecord(
        name="d",
        digest="sha256:d",
        blob=Blob("k", "sha256:b", 1),
        shape=ImageShape(2, 2, 1),
        classes=("a", "b"),
        train_counts=(1, 2),
        test_counts=(0, 0),
        source="upload:npz",
        job_id="j",
        manifest_key="mk",
    )
    assert datasets.restore(record, created_ms=5)
    assert not datasets.restore(replace(record, digest="other"), created_ms=6)
    assert datasets.get("d") == replace(record, created_ms=5)
    assert [found.name for found in datasets.list()] == ["d"]
    assert datasets.delete("d").digest == "sha256:d"
    with pytest.raises(NotFound, match="dataset d does not exist"):
        datasets.get("d")
