"""The client: one connection, and everything that can be asked over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from convnest_api.v1 import (
    jobs_pb2,
    system_pb2,
    system_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

from convnest.classifying import Classification, classify
from convnest.connection import Connection, default_address
from convnest.datasets import Datasets
from convnest.images import ImageLike
from convnest.job_types import TrainSpec
from convnest.jobs import Job, Jobs
from convnest.models import Models
from convnest.networks import Networks, networks_from_proto
from convnest.system import Status, status_from_proto

_CLASSIFY_TIMEOUT_S: Final = 30.0


def connect(address: str | None = None) -> Client:
    """A client of the server at `address`; default `CONVNEST_ADDRESS`, else localhost:50051.

    Connects with the first call, and again by itself whenever the connection is lost.
    """
    return Client(Connection(address or default_address()))


class Client:
    """Everything a ConvNest server offers. May be used from many threads; close it after use."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._system = system_pb2_grpc.SystemServiceStub(connection.channel)
        self.jobs = Jobs(connection)
        self.datasets = Datasets(connection, self.jobs)
        self.models = Models(connection)

    def train(
        self,
        *,
        dataset: str,
        network: str | Mapping[str, object] | Sequence[Mapping[str, object]],
        model: str,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        optimizer: str | Mapping[str, object] | None = None,
        schedule: str | Mapping[str, object] | None = None,
        loss: str | None = None,
        label_smoothing: float | None = None,
        class_weights: Mapping[str, float] | None = None,
        augment: Sequence[str | Mapping[str, object]] | None = None,
        validation_fraction: float | None = None,
        keep: str | None = None,
        stop_patience: int | None = None,
        seed: int | None = None,
        checkpoint_interval_s: float | None = None,
        priority: int = 0,
    ) -> Job:
        """Queues the training of `network` on `dataset`; the result becomes a version of `model`.

        Short for `jobs.submit(TrainSpec(…))`: what is left out is the server's default.
        """
        spec = TrainSpec(
            dataset=dataset,
            network=network,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            optimizer=optimizer,
            schedule=schedule,
            loss=loss,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
            augment=augment,
            validation_fraction=validation_fraction,
            keep=keep,
            stop_patience=stop_patience,
            seed=seed,
            checkpoint_interval_s=checkpoint_interval_s,
        )
        return self.jobs.submit(spec, priority=priority)

    def classify(
        self,
        model: str,
        images: ImageLike | Sequence[ImageLike],
        *,
        top_k: int = 1,
        timeout_s: float = _CLASSIFY_TIMEOUT_S,
    ) -> Sequence[Classification]:
        """The `top_k` likeliest classes of each image, by "digits", "digits:2" or "digits@stable".

        An image is a path, the bytes of an encoded file, a Pillow image, or an array of uint8
        (0…255) or float32 (0…1) in (height, width[, channels]); an array of four axes stands for
        its n images. Either all are answered or the call fails.
        ResourceExhausted where too many wait already; Unavailable where no worker can answer.
        """
        return classify(self._connection, model, images, top_k=top_k, timeout_s=timeout_s)

    def networks(self) -> Networks:
        """The networks and layers that a job may name, with their options."""
        stub = training_pb2_grpc.TrainingServiceStub(self._connection.channel)
        request = training_pb2.ListNetworksRequest()
        return networks_from_proto(self._connection.call(stub.ListNetworks, request))

    def status(self) -> Status:
        """What works and what is busy."""
        return status_from_proto(
            self._connection.call(self._system.GetStatus, system_pb2.GetStatusRequest())
        )

    def collect_garbage(self, *, dry_run: bool = False, min_age_s: float | None = None) -> Job:
        """Queues the job that deletes stored files that nothing points to.

        Younger ones than `min_age_s` (default: an hour) stay; `dry_run` only counts.
        """
        spec = jobs_pb2.CollectGarbageSpec(dry_run=dry_run, min_age_s=min_age_s)
        request = system_pb2.CollectGarbageRequest(spec=spec)
        response = self._connection.call(self._system.CollectGarbage, request)
        return self.jobs.from_proto(response.job)

    def rebuild(self) -> Job:
        """Queues the job that registers models and datasets anew from the files that are stored."""
        response = self._connection.call(self._system.Rebuild, system_pb2.RebuildRequest())
        return self.jobs.from_proto(response.job)

    def close(self) -> None:
        """Gives up calls that are under way and closes the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
