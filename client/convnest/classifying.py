"""What is on a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from convnest_api.v1 import classification_pb2, classification_pb2_grpc

from convnest.connection import Connection
from convnest.images import Array, ImageLike, PillowImage, encode_image


@dataclass(frozen=True)
class ClassScore:
    """One class and how likely it is, in [0, 1]."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """The likeliest classes of one image, best first, by one model version."""

    scores: tuple[ClassScore, ...]
    model: str
    version: int

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.scores[0].label

    @property
    def probability(self) -> float:
        """The likeliest class' probability."""
        return self.scores[0].probability


def classify(
    connection: Connection,
    model: str,
    images: ImageLike | Sequence[ImageLike],
    *,
    top_k: int,
    timeout_s: float,
) -> Sequence[Classification]:
    """One call; see `Client.classify`."""
    if isinstance(images, str | bytes | os.PathLike | PillowImage | Array):
        images = [images]
    encoded = [encode_image(image, f"images[{i}]") for i, image in enumerate(images)]
    stub = classification_pb2_grpc.ClassificationServiceStub(connection.channel)
    request = classification_pb2.ClassifyRequest(model=model, images=encoded, top_k=top_k)
    response = connection.call(stub.Classify, request, timeout_s=timeout_s)
    return tuple(
        Classification(
            tuple(ClassScore(one.label, one.index, one.probability) for one in result.scores),
            response.model,
            response.version,
        )
        for result in response.results
    )
