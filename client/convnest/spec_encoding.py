"""From a `TrainSpec` to the API's message, naming the field that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from convnest_api.v1 import jobs_pb2

from convnest.convert import struct_from_mapping
from convnest.errors import InvalidArgument
from convnest.job_types import TrainSpec

_TEXT: Final = ("dataset", "model", "loss")
_WHOLE: Final = {"epochs": 32, "batch_size": 32, "seed": 64}
_REAL: Final = ("validation_fraction", "checkpoint_interval_s")
_OPTIMIZER: Final = ("learning_rate", "momentum", "weight_decay")


def train_spec_to_proto(spec: TrainSpec) -> jobs_pb2.TrainSpec:
    """The message for `spec`; what is None stays unset. Ranges are the server's to check.

    Raises InvalidArgument where a value is not of its field's type.
    """
    message = jobs_pb2.TrainSpec()
    for field in _TEXT:
        if (text := getattr(spec, field)) is not None:
            setattr(message, field, _text(field, text))
    for field, bits in _WHOLE.items():
        if (number := getattr(spec, field)) is not None:
            setattr(message, field, _whole(field, number, bits))
    for field in _REAL:
        if (number := getattr(spec, field)) is not None:
            setattr(message, field, _real(field, number))
    for field in _OPTIMIZER:
        if (number := getattr(spec, field)) is not None:
            message.optimizer.name = "sgd"
            setattr(message.optimizer, field, _real(field, number))
    try:
        message.network.CopyFrom(struct_from_mapping(_network(spec)))
    except (TypeError, ValueError) as error:
        raise InvalidArgument.of("network", f"not expressible in JSON: {error}") from error
    return message


def _network(spec: TrainSpec) -> Mapping[str, object]:
    if isinstance(spec.network, str):
        return {"name": spec.network}
    if isinstance(spec.network, Mapping):
        return spec.network
    if isinstance(spec.network, list | tuple):
        return {"layers": list(spec.network)}
    raise InvalidArgument.of(
        "network", f"must be a name, a mapping or a list of layers, got {spec.network!r}"
    )


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument.of(field, f"must be text, got {value!r}")
    return value


def _whole(field: str, value: object, bits: int) -> int:
    try:
        number = value.__index__()  # type: ignore[attr-defined]  # ints, and NumPy's
    except AttributeError:
        number = -1
    if isinstance(value, bool) or number < 0:
        raise InvalidArgument.of(field, f"must be a whole number ≥ 0, got {value!r}")
    if number >= 2**bits:
        raise InvalidArgument.of(field, f"must be < 2^{bits}, got {value!r}")
    return int(number)


def _real(field: str, value: object) -> float:
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        raise InvalidArgument.of(field, f"must be a number, got {value!r}")
    return float(value)
