"""Models: trained networks, their versions, and aliases that point to a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from convnest_api.v1 import models_pb2, models_pb2_grpc

from convnest.connection import Connection
from convnest.convert import ImageShape, dict_from_struct, pages, shape_from_proto, time_from_proto
from convnest.errors import InvalidArgument
from convnest.job_decoding import epoch_metrics, train_spec
from convnest.job_types import EpochMetrics, TrainSpec


@dataclass(frozen=True)
class Model:
    """A name that versions are registered under."""

    name: str
    latest_version: int
    versions: int
    aliases: Mapping[str, int]
    create_time: datetime


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input; mean and std are per channel."""

    shape: ImageShape
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ClassMetrics:
    """How a version does on the validation images of one class; `answers` by the class answered.

    `answers` is empty where there are more than 256 classes.
    """

    name: str
    images: int
    precision: float
    recall: float
    answers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One trained network, never changed once registered."""

    model: str
    version: int
    aliases: tuple[str, ...]
    create_time: datetime
    job_id: str
    network: Mapping[str, object]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    parameters: int
    weights_digest: str
    size_bytes: int
    dataset: str
    dataset_digest: str
    spec: TrainSpec
    history: tuple[EpochMetrics, ...]
    test_accuracy: float | None
    fingerprint: Mapping[str, str]
    epoch: int
    """The one whose weights these are."""
    by_class: tuple[ClassMetrics, ...]

    @property
    def validation_accuracy(self) -> float | None:
        """Of these weights; None where it is not known."""
        metrics = next((one for one in self.history if one.epoch == self.epoch), None)
        return metrics.validation_accuracy if metrics else None


class Models:
    """Trained networks: `client.models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = models_pb2_grpc.ModelServiceStub(connection.channel)

    def get(self, name: str) -> Model:
        """One model. NotFound where there is none."""
        request = models_pb2.GetModelRequest(name=name)
        return _model(self._connection.call(self._stub.GetModel, request).model)

    def list(self) -> Iterator[Model]:
        """Every model, by name."""

        def fetch(token: str) -> tuple[Sequence[Model], str]:
            request = models_pb2.ListModelsRequest(page_token=token)
            page = self._connection.call(self._stub.ListModels, request)
            return [_model(model) for model in page.models], page.next_page_token

        return pages(fetch)

    def version(self, reference: str) -> ModelVersion:
        """One version: "digits" (the latest), "digits:2" or "digits@stable"."""
        request = models_pb2.GetModelVersionRequest(model=reference)
        return _version(self._connection.call(self._stub.GetModelVersion, request).version)

    def versions(self, name: str) -> Iterator[ModelVersion]:
        """Every version of a model, newest first."""

        def fetch(token: str) -> tuple[Sequence[ModelVersion], str]:
            request = models_pb2.ListModelVersionsRequest(name=name, page_token=token)
            page = self._connection.call(self._stub.ListModelVersions, request)
            return [_version(version) for version in page.versions], page.next_page_token

        return pages(fetch)

    def set_alias(self, name: str, alias: str, version: int) -> Model:
        """Points an alias to a version, newly or anew."""
        request = models_pb2.SetModelAliasRequest(name=name, alias=alias, version=version)
        return _model(self._connection.call(self._stub.SetModelAlias, request).model)

    def delete_alias(self, name: str, alias: str) -> Model:
        """Removes an alias; the version that it pointed to stays."""
        request = models_pb2.DeleteModelAliasRequest(name=name, alias=alias)
        return _model(self._connection.call(self._stub.DeleteModelAlias, request).model)

    def remove(self, reference: str) -> None:
        """Removes one version ("digits:2"), or a model with all versions and aliases ("digits").

        FailedPrecondition while an alias points to that one version.
        """
        name, colon, version = reference.partition(":")
        if not colon:
            request = models_pb2.DeleteModelRequest(name=name)
            self._connection.call(self._stub.DeleteModel, request)
        elif version.isascii() and version.isdigit() and int(version) < 2**32:
            self._connection.call(
                self._stub.DeleteModelVersion,
                models_pb2.DeleteModelVersionRequest(name=name, version=int(version)),
            )
        else:
            raise InvalidArgument.of("version", f"must be a number as in digits:2, got {reference}")


def _model(message: models_pb2.Model) -> Model:
    return Model(
        name=message.name,
        latest_version=message.latest_version,
        versions=message.versions,
        aliases=dict(sorted(message.aliases.items())),
        create_time=time_from_proto(message.create_time),
    )


def _version(message: models_pb2.ModelVersion) -> ModelVersion:
    preprocessing = message.preprocessing
    return ModelVersion(
        model=message.model,
        version=message.version,
        aliases=tuple(message.aliases),
        create_time=time_from_proto(message.create_time),
        job_id=message.job_id,
        network=dict_from_struct(message.network),
        classes=tuple(message.classes),
        preprocessing=Preprocessing(
            shape_from_proto(preprocessing.shape),
            tuple(preprocessing.mean),
            tuple(preprocessing.std),
        ),
        parameters=message.parameters,
        weights_digest=message.weights_digest,
        size_bytes=message.size_bytes,
        dataset=message.dataset,
        dataset_digest=message.dataset_digest,
        spec=train_spec(message.spec),
        history=tuple(epoch_metrics(epoch) for epoch in message.history),
        test_accuracy=message.test_accuracy if message.HasField("test_accuracy") else None,
        fingerprint=dict(sorted(message.fingerprint.items())),
        epoch=message.epoch or len(message.history),
        by_class=tuple(
            ClassMetrics(one.name, one.images, one.precision, one.recall, tuple(one.answers))
            for one in message.by_class
        ),
    )
