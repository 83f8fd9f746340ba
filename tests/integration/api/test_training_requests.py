"""What CreateTrainingJob refuses: every field at fault at once, and nothing is stored."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest
from convnest_api.v1 import jobs_pb2, system_pb2, training_pb2
from google.protobuf.json_format import ParseDict
from support.api import Api, refusal
from support.payloads import quick_spec
from support.processes import Fleet


def create(
    api: Api, spec: jobs_pb2.TrainSpec, **options: Any
) -> training_pb2.CreateTrainingJobResponse:
    return api.training.CreateTrainingJob(
        training_pb2.CreateTrainingJobRequest(spec=spec, **options), timeout=10
    )


def with_network(dataset: str, network: dict[str, Any]) -> jobs_pb2.TrainSpec:
    spec = quick_spec(dataset, "never-made")
    spec.network.Clear()
    ParseDict(network, spec.network)
    return spec


def jobs_stored(api: Api) -> int:
    return sum(api.system.GetStatus(system_pb2.GetStatusRequest()).jobs.values())


def test_every_number_out_of_range_is_named_at_once_and_nothing_is_stored(
    api: Api, digits: str
) -> None:
    before = jobs_stored(api)
    spec = jobs_pb2.TrainSpec(
        dataset=digits,
        model="No/Name",
        epochs=0,
        batch_size=5000,
        optimizer=jobs_pb2.Optimizer(
            name="adagrad", learning_rate=0.0, momentum=1.0, weight_decay=-1.0
        ),
        loss="absolute",
        validation_fraction=0.6,
        seed=2**63,
        checkpoint_interval_s=0.5,
    )
    spec.network.update({"name": "lenet", "options": {"padding": 9}})
    found = refusal(lambda: create(api, spec, priority=101, request_id="x" * 65))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.reason == "INVALID_INPUT"
    assert found.fields.keys() == {
        "request_id",
        "priority",
        "spec.model",
        "spec.epochs",
        "spec.batch_size",
        "spec.optimizer.name",
        "spec.optimizer.learning_rate",
        "spec.optimizer.momentum",
        "spec.optimizer.weight_decay",
        "spec.loss",
        "spec.validation_fraction",
        "spec.seed",
        "spec.checkpoint_interval_s",
        "spec.network.options.padding",
    }
    assert found.fields["spec.epochs"] == "must be ≥ 1 and ≤ 10000, got 0"
    assert found.fields["spec.optimizer.momentum"] == "must be ≥ 0 and < 1, got 1.0"
    assert found.fields["spec.loss"] == "must be one of cross_entropy, squared, got 'absolute'"
    assert found.fields["priority"] == "must be ≥ -100 and ≤ 100, got 101"
    assert jobs_stored(api) == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_out_of_range(api: Api, digits: str, value: float) -> None:
    spec = quick_spec(digits, "never-made")
    spec.optimizer.learning_rate = value
    spec.validation_fraction = value
    spec.network.update({"options": {"dropout": value}})
    found = refusal(lambda: create(api, spec))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields.keys() == {
        "spec.optimizer.learning_rate",
        "spec.validation_fraction",
        "spec.network",
    }


def test_an_unknown_dataset_is_told_with_the_nearest_name(api: Api, digits: str) -> None:
    found = refusal(lambda: create(api, quick_spec("digitz", "never-made")))
    assert found.code is grpc.StatusCode.NOT_FOUND
    assert found.reason == "NOT_FOUND"
    assert found.message == "dataset digitz does not exist; did you mean digits?"


@pytest.mark.parametrize(
    ("network", "field", "hint"),
    [
        (
            {"name": "lenett"},
            "spec.network.name",
            "unknown network 'lenett'; did you mean 'lenet'?",
        ),
        (
            {"name": "lenet", "options": {"pooling_": "max"}},
            "spec.network.options.pooling_",
            "unknown option 'pooling_'; did you mean 'pooling'?",
        ),
        (
            {"name": "lenet", "options": {"pooling": "maxx"}},
            "spec.network.options.pooling",
            "must be one of max, avg; got 'maxx'; did you mean 'max'?",
        ),
        ({"layers": ["flatten", "reluu"]}, "spec.network.layers.1", "did you mean 'relu'?"),
        ({"nam": "lenet"}, "spec.network", 'either a "name" or a list of "layers"'),
        ({}, "spec.network", 'either a "name" or a list of "layers"'),
        ({"name": "lenet", "optons": {}}, "spec.network.optons", "did you mean 'options'?"),
        ({"name": 5}, "spec.network.name", "unknown network '5'"),
        ({"layers": []}, "spec.network.layers", "must be a list of one or more layers"),
        (
            {"layers": [{"conv": {"filters": 4, "kernel": 3, "stride": 0}}]},
            "spec.network.layers.0.conv.stride",
            "stride must be ≥ 1, got 0",
        ),
        (
            {"layers": ["flatten", {"linear": {"features": 7}}]},
            "spec.network.layers.1.linear.features",
            "features must be 10, the number of classes",
        ),
    ],
)
def test_a_network_that_cannot_be_is_told_by_its_path(
    api: Api, digits: str, network: dict[str, object], field: str, hint: str
) -> None:
    found = refusal(lambda: create(api, with_network(digits, network)))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields.keys() == {field}
    assert hint in found.fields[field]


def test_a_spec_whose_shapes_do_not_fit_names_the_layer(api: Api, digits: str) -> None:
    convolution = {"conv": {"filters": 4, "kernel": 5, "stride": 3}}
    layers = [
        convolution,
        "relu",
        convolution,
        convolution,
        "flatten",
        {"linear": {"features": 10}},
    ]
    found = refusal(lambda: create(api, with_network(digits, {"layers": layers})))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields.keys() == {"spec.network.layers.3"}
    assert "layers.3" in found.message
    assert "dataset digits has images of 28x28x1" in found.message


def test_a_named_network_too_deep_for_the_images_says_what_it_takes(api: Api, digits: str) -> None:
    network = {"name": "convnet", "options": {"m": 6}}
    found = refusal(lambda: create(api, with_network(digits, network)))
    assert found.fields.keys() == {"spec.network"}
    told = "takes images from 64×64 pixels, got 28×28 (dataset digits has images of 28x28x1)"
    assert found.fields["spec.network"] == told


def test_nesting_without_end_is_refused(api: Api, digits: str) -> None:
    network: object = ["relu"]
    for _ in range(12):
        network = [{"sum": [network]}]
    found = refusal(lambda: create(api, with_network(digits, {"layers": network})))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "nested deeper than" in found.message


@pytest.mark.parametrize(
    "name", ["", "a/b", "../etc", "Digits", "a" * 65, "digits:jobs", "ä", "-a"]
)
def test_a_name_that_cannot_be_is_refused(api: Api, digits: str, name: str) -> None:
    found = refusal(lambda: create(api, quick_spec(name, name)))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields.keys() == {"spec.dataset", "spec.model"}
    assert "1 to 64 of a-z, 0-9" in found.fields["spec.model"]


def test_a_check_alone_stores_nothing_and_shows_every_default(api: Api, digits: str) -> None:
    before = jobs_stored(api)
    answer = create(api, quick_spec(digits, "never-made"), validate_only=True, request_id="asked")
    assert answer.job.id == ""
    assert answer.job.train.batch_size == 64
    assert answer.job.train.HasField("validation_fraction")
    assert [layer.kind for layer in answer.layers][-1] == "linear" or answer.layers
    assert jobs_stored(api) == before
    # The request_id was not used up.
    made = create(api, quick_spec(digits, "checked", epochs=2), request_id="asked").job
    assert made.id
    api.ended(made.id)


def test_the_same_request_id_gives_the_same_job(api: Api, digits: str, fresh_name: str) -> None:
    spec = quick_spec(digits, fresh_name)
    first = create(api, spec, request_id=fresh_name).job
    assert create(api, spec, request_id=fresh_name).job.id == first.id
    found = refusal(lambda: create(api, spec, priority=1, request_id=fresh_name))
    assert found.code is grpc.StatusCode.ALREADY_EXISTS
    assert found.message == f"request_id {fresh_name} was used for another request"
    assert api.ended(first.id).state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert create(api, spec, request_id=fresh_name).job.id == first.id


def test_a_network_too_large_to_hold_is_refused_before_it_is_queued(api: Api, digits: str) -> None:
    network = {"name": "mlp", "options": {"hidden": [65536] * 40}}
    found = refusal(lambda: create(api, with_network(digits, network)))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "parameters" in found.fields["spec.network"]


def test_a_training_that_diverges_fails_with_the_reason(api: Api, digits: str) -> None:
    spec = quick_spec(digits, "diverges", epochs=2)
    spec.optimizer.learning_rate = 1000.0
    spec.loss = "squared"
    job = api.ended(create(api, spec).job.id)
    assert job.state == jobs_pb2.JOB_STATE_FAILED
    assert (job.error.reason, job.error.field) == (
        "TRAINING_DIVERGED",
        "optimizer.learning_rate",
    )
    assert "not finite" in job.error.message
    assert "learning rate" in job.error.message
    assert job.failed_attempts == 0


@pytest.mark.parametrize(
    ("spoil", "reason"), [("cut", "BLOB_CORRUPT"), ("removed", "BLOB_MISSING")]
)
def test_a_dataset_that_is_no_longer_whole_fails_the_job_at_once(
    api: Api, served: Fleet, tiny: str, spoil: str, reason: str
) -> None:
    (path,) = (served.folder / "blobs" / "datasets" / tiny).glob("*/data.safetensors")
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    job = api.ended(create(api, quick_spec(tiny, "never-made")).job.id)
    assert job.state == jobs_pb2.JOB_STATE_FAILED
    assert (job.error.reason, job.failed_attempts) == (reason, 0)
    assert tiny in job.error.message
