"""What a training spec's network may name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convnest_api.v1 import training_pb2


@dataclass(frozen=True)
class NetworkOption:
    """One option of an architecture or a layer.

    `default` is JSON, or the name of the option whose value it takes; empty where the option must
    be given.
    """

    name: str
    doc: str
    default: str


@dataclass(frozen=True)
class NetworkKind:
    """An architecture or a layer, and what it may be told."""

    name: str
    doc: str
    options: tuple[NetworkOption, ...]


@dataclass(frozen=True)
class Networks:
    """The architectures there are, and the layers that a list of layers is made of."""

    networks: tuple[NetworkKind, ...]
    layers: tuple[NetworkKind, ...]


def networks_from_proto(message: training_pb2.ListNetworksResponse) -> Networks:
    return Networks(_kinds(message.networks), _kinds(message.layers))


def _kinds(messages: Iterable[training_pb2.NetworkKind]) -> tuple[NetworkKind, ...]:
    return tuple(
        NetworkKind(
            kind.name,
            kind.doc,
            tuple(NetworkOption(one.name, one.doc, one.default_json) for one in kind.options),
        )
        for kind in messages
    )
