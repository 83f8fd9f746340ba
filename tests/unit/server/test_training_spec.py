"""A training spec is checked in full, and comes back complete."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from convnest_api.v1 import jobs_pb2
from convnest_core.augmentation import AUGMENTATIONS
from convnest_server import convert
from convnest_server.errors import InvalidRequest
from convnest_server.training_spec import CheckedSpec, check_train_spec
from convnest_store.catalog import DatasetRecord
from convnest_store.errors import NotFound
from google.protobuf.json_format import ParseDict


def spec(**fields: Any) -> jobs_pb2.TrainSpec:
    network = fields.pop("network", {"name": "lenet"})
    optimizer = jobs_pb2.Optimizer(**fields.pop("optimizer", {}))
    message = jobs_pb2.TrainSpec(
        **{"dataset": "digits", "model": "m", "optimizer": optimizer, **fields}
    )
    ParseDict(network, message.network)
    return message


def check(message: jobs_pb2.TrainSpec, dataset: DatasetRecord) -> CheckedSpec:
    def find(name: str) -> DatasetRecord:
        if name != dataset.name:
            raise NotFound(name)
        return dataset

    return check_train_spec(message, find)


def refused(message: jobs_pb2.TrainSpec, dataset: DatasetRecord) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        check(message, dataset)
    return {violation.field: violation.message for violation in caught.value.violations}


def test_every_default_is_filled_in(digits: DatasetRecord) -> None:
    checked = check(spec(), digits)
    assert checked.spec["epochs"] == 20
    assert checked.spec["batch_size"] == 64
    assert checked.spec["optimizer"]["name"] == "sgd"
    assert checked.spec["optimizer"]["momentum"] == 0.9
    assert checked.spec["loss"] == "cross_entropy"
    assert checked.spec["validation_fraction"] == 0.15
    assert checked.spec["seed"] == 0
    assert checked.spec["checkpoint_interval_s"] == 30
    assert checked.spec["dataset_digest"] == digits.digest
    assert checked.spec["network"]["options"]["pooling"] == "max"
    assert checked.summary.output_shape == (10,)


def test_a_complete_spec_stays_as_it_is(digits: DatasetRecord) -> None:
    once = check(spec(seed=7, optimizer={"learning_rate": 0.5}), digits).spec
    stored = json.loads(json.dumps(once, allow_nan=False))
    twice = check(convert.train_spec(stored), digits).spec
    assert twice == once


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ("epochs", 1, 10_000),
        ("batch_size", 1, 4096),
        ("validation_fraction", 0.01, 0.5),
        ("seed", 0, 2**63 - 1),
        ("checkpoint_interval_s", 1, 3600),
    ],
)
def test_each_bound_is_allowed_and_no_more(
    digits: DatasetRecord, fields: str, low: float, high: float
) -> None:
    for value in (low, high):
        assert check(spec(**{fields: value}), digits).spec[fields] == value
    above = (
        high + 1
        if isinstance(high, int) and fields != "checkpoint_interval_s"
        else math.nextafter(high, math.inf)
    )
    found = refused(spec(**{fields: above}), digits)
    assert found == {f"spec.{fields}": f"must be ≥ {low} and ≤ {high}, got {above}"}


def test_a_recipe_is_filled_in_for_its_optimizer_and_schedule(digits: DatasetRecord) -> None:
    message = spec(
        optimizer={"name": "adamw", "beta2": 0.95},
        schedule=jobs_pb2.Schedule(name="plateau", patience=0),
        label_smoothing=0.1,
        class_weights={"7": 2.0},
        augment=[
            jobs_pb2.Augmentation(name="flip"),
            jobs_pb2.Augmentation(name="crop", padding=2),
        ],
    )
    checked = check(message, digits).spec
    assert checked["optimizer"] == {
        "name": "adamw",
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.95,
        "epsilon": 1e-8,
        "weight_decay": 0.01,
    }
    assert checked["schedule"] == {
        "name": "plateau",
        "warmup_epochs": 0,
        "factor": 0.1,
        "patience": 0,
        "threshold": 1e-3,
        "least_rate": 0.0,
    }
    assert checked["augment"] == [
        {"name": "flip", "probability": 0.5},
        {"name": "crop", "padding": 2},
    ]
    assert (checked["label_smoothing"], checked["class_weights"]) == (0.1, {"7": 2.0})
    stored = json.loads(json.dumps(checked, allow_nan=False))
    assert check(convert.train_spec(stored), digits).spec == checked


def test_all_that_is_wrong_with_a_recipe_is_told_at_once(digits: DatasetRecord) -> None:
    message = spec(
        optimizer={"name": "adam", "momentum": 0.9, "beta1": 1.0},
        schedule=jobs_pb2.Schedule(name="cosin", warmup_epochs=-1),
        loss="squared",
        label_smoothing=0.1,
        class_weights={"77": 2.0, "3": -1.0},
        augment=[
            jobs_pb2.Augmentation(name="flap"),
            jobs_pb2.Augmentation(name="crop", padding=0),
            jobs_pb2.Augmentation(degrees=3),
        ],
    )
    found = refused(message, digits)
    assert found == {
        "spec.optimizer.momentum": "is no setting of adam, which has "
        "learning_rate, beta1, beta2, epsilon, weight_decay",
        "spec.optimizer.beta1": "must be ≥ 0 and < 1, got 1.0",
        "spec.schedule.name": "must be one of constant, step, plateau, cosine, one_cycle, "
        "got 'cosin'; did you mean 'cosine'?",
        "spec.schedule.warmup_epochs": "must be ≥ 0 and ≤ 1000, got -1.0",
        "spec.label_smoothing": "is no setting of squared, which has none",
        "spec.class_weights": "digits has no class '77'; did you mean '7'?",
        "spec.augment.0.name": f"must be one of {', '.join(AUGMENTATIONS)}, "
        "got 'flap'; did you mean 'flip'?",
        "spec.augment.1.padding": "must be ≥ 1 and ≤ 64, got 0",
        "spec.augment.2.name": f"must be one of {', '.join(AUGMENTATIONS)}, got ''",
        "spec.class_weights.3": "must be ≥ 0 and ≤ 1000.0, got -1.0",
    }


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("learning_rate", (1e-9, 1000.0), (0.0, -1.0, 1000.1, math.nan, math.inf)),
        ("momentum", (0.0, 0.999), (1.0, -0.1, math.nan, math.inf)),
        ("weight_decay", (0.0, 10.0), (-1e-9, 10.1, math.nan, -math.inf)),
    ],
)
def test_the_optimizer_is_bounded(
    digits: DatasetRecord, field: str, good: tuple[float, ...], bad: tuple[float, ...]
) -> None:
    for value in good:
        assert check(spec(optimizer={field: value}), digits).spec["optimizer"][field] == value
    for value in bad:
        assert refused(spec(optimizer={field: value}), digits).keys() == {f"spec.optimizer.{field}"}


def test_an_unknown_dataset_is_not_looked_into(digits: DatasetRecord) -> None:
    with pytest.raises(NotFound):
        check(spec(dataset="other", epochs=0), digits)


def test_a_dataset_that_leaves_nothing_to_validate_is_refused(digits: DatasetRecord) -> None:
    single = replace(digits, train_counts=(1,) * 10)
    assert "none is left to validate" in refused(spec(), single)["spec.dataset"]


def test_a_layer_that_does_not_fit_is_named(digits: DatasetRecord) -> None:
    layers = ["flatten", {"conv": {"filters": 2, "kernel": 3}}]
    found = refused(spec(network={"layers": layers}), digits)
    assert found.keys() == {"spec.network.layers.1"}
    assert "digits has images of 28x28x1" in found["spec.network.layers.1"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_without_finite_numbers_is_refused(digits: DatasetRecord, value: float) -> None:
    message = spec()
    message.network.update({"options": {"padding": value}})
    assert "must be finite" in refused(message, digits)["spec.network"]


def test_whole_numbers_of_a_network_stay_whole(digits: DatasetRecord) -> None:
    layers = [{"conv": {"filters": 4, "kernel": 3, "stride": 0}}, "flatten"]
    found = refused(spec(network={"layers": layers}), digits)
    assert found == {"spec.network.layers.0.conv.stride": "stride must be ≥ 1, got 0"}
