"""Between protobuf's well-known types and Python's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from convnest_api.v1 import jobs_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

_Item = TypeVar("_Item")
_Enum = TypeVar("_Enum", bound=StrEnum)


@dataclass(frozen=True)
class ImageShape:
    """Rows, columns and channels (1 or 3) of an image."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.height}×{self.width}×{self.channels}"


def shape_from_proto(message: jobs_pb2.ImageShape) -> ImageShape:
    return ImageShape(message.height, message.width, message.channels)


def shape_to_proto(shape: ImageShape) -> jobs_pb2.ImageShape:
    return jobs_pb2.ImageShape(height=shape.height, width=shape.width, channels=shape.channels)


def time_from_proto(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)


def dict_from_struct(message: Struct) -> dict[str, object]:
    """The struct's content; numbers without a fraction are ints."""
    return {name: _whole_as_int(value) for name, value in MessageToDict(message).items()}


def _whole_as_int(value: object) -> object:
    match value:
        case dict():
            return {name: _whole_as_int(item) for name, item in value.items()}
        case list():
            return [_whole_as_int(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def struct_from_mapping(mapping: Mapping[str, object]) -> Struct:
    """`mapping` as a struct. ValueError or TypeError where JSON could not hold it."""
    struct = Struct()
    struct.update(dict(mapping))  # type: ignore[arg-type]  # it checks its values itself
    return struct


def enum_from_proto(kind: type[_Enum], name: str, *, prefix: str) -> _Enum:
    """The member for a name like `JOB_STATE_QUEUED`; `UNSPECIFIED` for one not known here."""
    try:
        return kind(name.removeprefix(prefix))
    except ValueError:
        return kind("UNSPECIFIED")


def pages(fetch: Callable[[str], tuple[Sequence[_Item], str]]) -> Iterator[_Item]:
    """Every item of a paged list; `fetch` maps a page's token to its items and the next token."""
    token = ""
    while True:
        items, token = fetch(token)
        yield from items
        if not token:
            return
