"""From a `TrainSpec` to the API's message, naming the field that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from convnest_api.v1 import jobs_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from convnest.convert import struct_from_mapping
from convnest.errors import InvalidArgument
from convnest.job_types import TrainSpec

_TEXT: Final = ("dataset", "model", "loss", "keep")
_WHOLE: Final = {"epochs": 32, "batch_size": 32, "stop_patience": 32, "seed": 64}
_REAL: Final = ("label_smoothing", "validation_fraction", "checkpoint_interval_s")
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
    _set_settings("optimizer", message.optimizer, spec.optimizer)
    given = {field.name for field, _ in message.optimizer.ListFields()}
    for field in _OPTIMIZER:
        if (number := getattr(spec, field)) is not None:
            if field in given:
                raise InvalidArgument.of(field, f"is given twice: as {field}, and in optimizer")
            setattr(message.optimizer, field, _real(field, number))
    _set_settings("schedule", message.schedule, spec.schedule)
    if spec.class_weights is not None:
        if not isinstance(spec.class_weights, Mapping):
            problem = f"must be a mapping of class names to numbers, got {spec.class_weights!r}"
            raise InvalidArgument.of("class_weights", problem)
        for name, weight in spec.class_weights.items():
            # YAML reads a class called 7 as a number.
            message.class_weights[str(name)] = _real(f"class_weights.{name}", weight)
    if spec.augment is not None:
        if not isinstance(spec.augment, list | tuple):
            raise InvalidArgument.of("augment", f"must be a list, got {spec.augment!r}")
        for place, step in enumerate(spec.augment):
            if step is None:
                raise InvalidArgument.of(
                    f"augment.{place}", "must be a name or a mapping, got None"
                )
            _set_settings(f"augment.{place}", message.augment.add(), step)
    try:
        message.network.CopyFrom(struct_from_mapping(_network(spec)))
    except (TypeError, ValueError) as error:
        raise InvalidArgument.of("network", f"not expressible in JSON: {error}") from error
    return message


def _set_settings(field: str, message: Message, given: object) -> None:
    """A name, or a mapping with a name and settings, into a message that has a field for each."""
    if given is None:
        return
    settings = {"name": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping):
        raise InvalidArgument.of(field, f"must be a name or a mapping, got {given!r}")
    known = message.DESCRIPTOR.fields_by_name
    for name, value in settings.items():
        path = f"{field}.{name}"
        if name not in known:
            raise InvalidArgument.of(path, f"is unknown; there are {', '.join(known)}")
        if value is not None:
            setattr(message, name, _setting(path, known[name].cpp_type, value))


def _setting(path: str, kind: int, value: object) -> object:
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _text(path, value)
    if kind == FieldDescriptor.CPPTYPE_UINT32:
        return _whole(path, value, 32)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise InvalidArgument.of(path, f"must be true or false, got {value!r}")
        return value
    return _real(path, value)


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
