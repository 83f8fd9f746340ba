"""A training spec from a stranger: checked in full, with every default filled in."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from convnest_api.v1 import jobs_pb2
from convnest_core import (
    CoreError,
    ShapeError,
    SpecError,
    Summary,
    network,
    normalise,
    recipe,
    summarise,
)
from convnest_core.augmentation import AUGMENTATIONS
from convnest_core.suggestions import suggestion
from convnest_store.catalog import DatasetRecord
from convnest_store.errors import InvalidInput
from convnest_store.names import check_name
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from convnest_server.errors import InvalidRequest, Violation

_HEAVIEST_CLASS = 1000.0
_MOST_AUGMENTATIONS = 16


@dataclass(frozen=True)
class CheckedSpec:
    """A spec as the job record holds it, and the network it describes."""

    spec: dict[str, Any]  # JSON: see `_numbers` for its fields
    summary: Summary


class _Checker:
    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def number(
        self, field: str, value: float, low: float, high: float, *, but: float = math.nan
    ) -> float:
        """A number from low to high, `but` (one of the two) excepted."""
        if not low <= value <= high or value == but:
            least, most = ">" if low == but else "≥", "<" if high == but else "≤"
            self.add(field, f"must be {least} {low} and {most} {high}, got {value}")
        return value

    def choice(self, field: str, value: str, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.add(field, f"must be one of {', '.join(allowed)}, got {value[:80]!r}")
        return value

    def name(self, field: str, value: str) -> str:
        try:
            return check_name(value, field=field)
        except InvalidInput as error:
            self.add(field, error.message)
            return value

    def complete(
        self, field: str, kinds: Mapping[str, recipe.Kind], message: Message, default: str
    ) -> dict[str, Any]:
        """What a message of settings says, with every default filled in."""
        given = {descriptor.name: value for descriptor, value in message.ListFields()}
        full, problems = recipe.complete(kinds, given, default=default)
        for problem in problems:
            self.add(f"{field}.{problem.field}", problem.message)
        return full

    def add(self, field: str, message: str) -> None:
        self.violations.append(Violation(field, message))


def check_train_spec(
    message: jobs_pb2.TrainSpec, find_dataset: Callable[[str], DatasetRecord]
) -> CheckedSpec:
    """Checks everything that can be checked without training.

    Raises InvalidRequest with every violation at once, and what `find_dataset` raises.
    """
    check = _Checker()
    spec = _fields(message, check)
    if any(violation.field == "spec.dataset" for violation in check.violations):
        raise InvalidRequest(check.violations)
    dataset = find_dataset(spec["dataset"])
    spec["dataset_digest"] = dataset.digest
    if max(dataset.train_counts) < 2:
        check.add("spec.dataset", f"{dataset.name} has one image a class: none is left to validate")
    _class_weights(spec, dataset, check)
    summary = _network(message.network, dataset, spec, check)
    if check.violations or summary is None:
        raise InvalidRequest(check.violations)
    return CheckedSpec(spec, summary)


def _given(message: Message, name: str, default: float) -> float:
    """An optional number, or what it is where it was not given."""
    value: float = getattr(message, name) if message.HasField(name) else default
    return value


def _fields(message: jobs_pb2.TrainSpec, check: _Checker) -> dict[str, Any]:
    def given(name: str, default: float) -> float:
        return _given(message, name, default)

    return {
        "dataset": check.name("spec.dataset", message.dataset),
        "model": check.name("spec.model", message.model),
        "epochs": check.number("spec.epochs", given("epochs", 20), 1, 10_000),
        "batch_size": check.number("spec.batch_size", given("batch_size", 64), 1, 4096),
        "optimizer": check.complete("spec.optimizer", recipe.OPTIMIZERS, message.optimizer, "sgd"),
        "schedule": check.complete("spec.schedule", recipe.SCHEDULES, message.schedule, "constant"),
        **_loss(message, check),
        "augment": _augment(message, check),
        "keep": check.choice("spec.keep", message.keep or "last", ("last", "best")),
        "stop_patience": check.number("spec.stop_patience", given("stop_patience", 0), 0, 10_000),
        "validation_fraction": check.number(
            "spec.validation_fraction", given("validation_fraction", 0.15), 0.01, 0.5
        ),
        "seed": check.number("spec.seed", given("seed", 0), 0, 2**63 - 1),
        "checkpoint_interval_s": check.number(
            "spec.checkpoint_interval_s", given("checkpoint_interval_s", 30.0), 1, 3600
        ),
    }


def _loss(message: jobs_pb2.TrainSpec, check: _Checker) -> dict[str, Any]:
    """The loss's name and its settings, which stand beside it in a spec."""
    given: dict[str, object] = {"name": message.loss} if message.loss else {}
    if message.HasField("label_smoothing"):
        given["label_smoothing"] = message.label_smoothing
    full, problems = recipe.complete(recipe.LOSSES, given, default="cross_entropy")
    for problem in problems:
        field = "loss" if problem.field == "name" else problem.field
        check.add(f"spec.{field}", problem.message)
    loss = str(full.pop("name"))
    weights = dict(message.class_weights)
    if weights and loss != "cross_entropy":
        check.add("spec.class_weights", f"is no setting of {loss}")
    for name, weight in weights.items():
        check.number(f"spec.class_weights.{name[:80]}", weight, 0, _HEAVIEST_CLASS)
    return {"loss": loss, **full, "class_weights": weights}


def _augment(message: jobs_pb2.TrainSpec, check: _Checker) -> list[dict[str, Any]]:
    steps = list(message.augment)
    if len(steps) > _MOST_AUGMENTATIONS:
        check.add("spec.augment", f"may have {_MOST_AUGMENTATIONS} steps, got {len(steps)}")
        return []
    full = [
        check.complete(f"spec.augment.{place}", AUGMENTATIONS, step, "")
        for place, step in enumerate(steps)
    ]
    if [step.get("name") for step in full].count("mixup") > 1:
        check.add("spec.augment", "may have mixup once")
    return full


def _class_weights(spec: dict[str, Any], dataset: DatasetRecord, check: _Checker) -> None:
    weights = spec["class_weights"]
    for name in weights:
        if name not in dataset.classes:
            hint = suggestion(name, dataset.classes)
            check.add("spec.class_weights", f"{dataset.name} has no class {name[:80]!r}{hint}")
    if weights and not any(weights.get(name, 1) for name in dataset.classes):
        check.add("spec.class_weights", "must not be 0 for every class")


def _described(value: Any) -> Any:
    """What a struct holds; numbers without a fraction as the whole numbers they were written as."""
    match value:
        case Struct():
            return _described(MessageToDict(value))
        case dict():
            return {name: _described(item) for name, item in value.items()}
        case list():
            return [_described(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _network(
    message: Struct, dataset: DatasetRecord, spec: dict[str, Any], check: _Checker
) -> Summary | None:
    classes, shape = len(dataset.classes), dataset.shape
    try:
        described = _described(message)
    except ValueError as error:  # JSON knows neither NaN nor infinity
        check.add("spec.network", f"every number must be finite: {error}")
        return None
    try:
        spec["network"] = normalise(described, classes=classes)
        module = network(spec["network"], classes=classes)
        return summarise(module, (shape.height, shape.width, shape.channels))
    except SpecError as error:
        path = f"spec.network.{error.path}" if error.path else "spec.network"
        check.add(path, error.message)
    except ShapeError as error:
        # A named network's layers are no part of the request.
        path = f"spec.network.{error.path}" if "layers" in described else "spec.network"
        check.add(path, f"{error} (dataset {dataset.name} has images of {shape})")
    except CoreError as error:
        check.add("spec.network", str(error))
    return None
