from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convnest import InvalidArgument, TrainSpec
from convnest.convert import dict_from_struct
from convnest.job_decoding import train_spec
from convnest.spec_encoding import train_spec_to_proto


def spec(**fields: Any) -> TrainSpec:  # Any: wrong types are the point
    return TrainSpec(**{"dataset": "digits", "network": "lenet", "model": "m", **fields})


def test_what_is_not_given_stays_unset() -> None:
    message = train_spec_to_proto(spec())
    assert not message.HasField("epochs")
    assert not message.HasField("optimizer")
    assert message.loss == ""


def test_a_full_spec_survives_the_round_trip() -> None:
    full = spec(
        network={"name": "lenet", "options": {"hidden": 84, "rate": 0.5}},
        epochs=20,
        batch_size=64,
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=1e-4,
        optimizer={"name": "sgd", "nesterov": True},
        schedule={"name": "plateau", "patience": 2, "factor": 0.5},
        loss="cross_entropy",
        label_smoothing=0.1,
        class_weights={"seven": 2.0},
        augment=["flip", {"name": "crop", "padding": 2}],
        validation_fraction=0.15,
        keep="best",
        stop_patience=4,
        seed=2**63,
        checkpoint_interval_s=30.0,
    )
    assert train_spec(train_spec_to_proto(full)) == full


@pytest.mark.parametrize(
    ("network", "sent"),
    [
        ("lenet", {"name": "lenet"}),
        (
            {"name": "mlp", "options": {"hidden": [64]}},
            {"name": "mlp", "options": {"hidden": [64]}},
        ),
        ([{"conv": {"channels": 8}}, "relu"], {"layers": [{"conv": {"channels": 8}}, "relu"]}),
    ],
)
def test_a_network_is_a_name_a_mapping_or_layers(network: object, sent: dict[str, object]) -> None:
    assert dict_from_struct(train_spec_to_proto(spec(network=network)).network) == sent


def test_numpy_numbers_are_numbers() -> None:
    message = train_spec_to_proto(spec(epochs=np.int64(3), learning_rate=np.float32(0.5)))
    assert (message.epochs, message.optimizer.learning_rate) == (3, 0.5)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("epochs", "20", "epochs: must be a whole number ≥ 0, got '20'"),
        ("epochs", True, "epochs: must be a whole number ≥ 0, got True"),
        ("epochs", 1.5, "epochs: must be a whole number ≥ 0, got 1.5"),
        ("seed", -1, "seed: must be a whole number ≥ 0, got -1"),
        ("epochs", 2**32, "epochs: must be < 2^32, got 4294967296"),
        ("learning_rate", "fast", "learning_rate: must be a number, got 'fast'"),
        ("momentum", [0.9], "momentum: must be a number, got [0.9]"),
        ("loss", 3, "loss: must be text, got 3"),
        ("optimizer", 3, "optimizer: must be a name or a mapping, got 3"),
        ("schedule", ["cosine"], "schedule: must be a name or a mapping, got ['cosine']"),
        (
            "class_weights",
            [1, 2],
            "class_weights: must be a mapping of class names to numbers, got [1, 2]",
        ),
        ("network", 3, "network: must be a name, a mapping or a list of layers, got 3"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(field: str, value: object, expected: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        train_spec_to_proto(spec(**{field: value}))
    assert str(caught.value) == expected
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"optimizer": {"beta1": "x"}}, "optimizer.beta1: must be a number, got 'x'"),
        ({"optimizer": {"nesterov": 1}}, "optimizer.nesterov: must be true or false, got 1"),
        ({"schedule": {"patience": 1.5}}, "schedule.patience: must be a whole number ≥ 0, got 1.5"),
        ({"augment": "flip"}, "augment: must be a list, got 'flip'"),
        ({"augment": [None]}, "augment.0: must be a name or a mapping, got None"),
        (
            {"augment": ["flip", {"size": 1.5}]},
            "augment.1.size: must be a whole number ≥ 0, got 1.5",
        ),
        ({"class_weights": {"a": "b"}}, "class_weights.a: must be a number, got 'b'"),
        (
            {"learning_rate": 0.1, "optimizer": {"learning_rate": 0.1}},
            "learning_rate: is given twice: as learning_rate, and in optimizer",
        ),
    ],
)
def test_a_setting_of_the_wrong_type_is_named(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        train_spec_to_proto(spec(**fields))
    assert str(caught.value) == expected


def test_an_unknown_setting_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^schedule.warmup: is unknown; there are name, warmup"
    ):
        train_spec_to_proto(spec(schedule={"name": "cosine", "warmup": 2}))


def test_a_name_alone_comes_back_as_a_name() -> None:
    both = spec(optimizer="adamw", schedule="cosine")
    assert train_spec(train_spec_to_proto(both)) == spec(
        network={"name": "lenet"}, optimizer="adamw", schedule="cosine"
    )


def test_a_network_that_json_cannot_hold_is_named() -> None:
    with pytest.raises(InvalidArgument, match="network: not expressible in JSON"):
        train_spec_to_proto(spec(network={"name": object()}))
