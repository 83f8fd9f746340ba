"""Datasets: to add, list, look at and remove them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from convnest_api.v1 import datasets_pb2, datasets_pb2_grpc

from convnest.connection import Connection
from convnest.convert import ImageShape, pages, shape_from_proto, shape_to_proto, time_from_proto
from convnest.errors import InvalidArgument
from convnest.jobs import Job, Jobs
from convnest.uploads import Upload, open_upload

_SPLITS: Final = {
    "train": datasets_pb2.DATASET_SPLIT_TRAIN,
    "test": datasets_pb2.DATASET_SPLIT_TEST,
}

# An upload may take as long as its size does at this rate, and a minute more.
_SLOWEST_BYTES_PER_S: Final = 500_000


@dataclass(frozen=True)
class ClassCount:
    """How many images a class has to train with (and validate), and held out for testing."""

    name: str
    train: int
    test: int


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled images of one shape. Its content never changes under its name."""

    name: str
    digest: str
    shape: ImageShape
    classes: tuple[ClassCount, ...]
    train_images: int
    test_images: int
    size_bytes: int
    create_time: datetime
    source: str
    job_id: str


@dataclass(frozen=True)
class Sample:
    """One image of a dataset, as a PNG file; `index` counts within its split."""

    png: bytes
    label: str
    index: int


class Datasets:
    """Labelled images that networks are trained on: `client.datasets`."""

    def __init__(self, connection: Connection, jobs: Jobs) -> None:
        self._connection = connection
        self._jobs = jobs
        self._stub = datasets_pb2_grpc.DatasetServiceStub(connection.channel)

    def add(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        builtin: str | None = None,
        shape: ImageShape | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Queues the job that makes a dataset, from `path` or from a built-in source.

        `path` is an .npz file (images, labels), or a folder or .zip of one folder per class.
        Images are brought to `shape`; without it one is chosen from the data. `on_progress` is
        told the bytes sent so far and in all. AlreadyExists where the name is taken.
        """
        if (path is None) == (builtin is None):
            raise InvalidArgument.of("path", "give either a path or the name of a built-in source")
        if path is not None:
            return self._upload(name, path, shape, on_progress, timeout_s)
        if shape is not None:
            raise InvalidArgument.of("shape", "a built-in source has its own shape")
        request = datasets_pb2.ImportDatasetRequest(
            name=name, builtin=builtin or "", request_id=uuid.uuid4().hex
        )
        response = self._connection.call(self._stub.ImportDataset, request)
        return self._jobs.from_proto(response.job)

    def get(self, name: str) -> Dataset:
        """One dataset. NotFound where there is none."""
        request = datasets_pb2.GetDatasetRequest(name=name)
        return _from_proto(self._connection.call(self._stub.GetDataset, request).dataset)

    def list(self) -> Iterator[Dataset]:
        """Every dataset, by name."""

        def fetch(token: str) -> tuple[Sequence[Dataset], str]:
            request = datasets_pb2.ListDatasetsRequest(page_token=token)
            page = self._connection.call(self._stub.ListDatasets, request)
            return [_from_proto(dataset) for dataset in page.datasets], page.next_page_token

        return pages(fetch)

    def sample(self, name: str, *, split: str = "train", count: int = 10) -> Sequence[Sample]:
        """A few images spread evenly over the classes; `split` is "train" or "test"."""
        if split not in _SPLITS:
            raise InvalidArgument.of("split", f"must be train or test, got {split!r}")
        request = datasets_pb2.SampleDatasetRequest(name=name, split=_SPLITS[split], count=count)
        response = self._connection.call(self._stub.SampleDataset, request)
        return tuple(Sample(image.png, image.label, image.index) for image in response.images)

    def remove(self, name: str) -> None:
        """Removes a dataset. FailedPrecondition while a job that has not ended uses it."""
        request = datasets_pb2.DeleteDatasetRequest(name=name)
        self._connection.call(self._stub.DeleteDataset, request)

    def _upload(
        self,
        name: str,
        path: str | os.PathLike[str],
        shape: ImageShape | None,
        on_progress: Callable[[int, int], None] | None,
        timeout_s: float | None,
    ) -> Job:
        with open_upload(path) as upload:
            requests = _Requests(_requests(name, upload, shape, on_progress))
            allowed_s = timeout_s or 60 + upload.size_bytes / _SLOWEST_BYTES_PER_S
            with self._connection.translated_errors():
                try:
                    response = self._stub.UploadDataset(requests, timeout=allowed_s)
                finally:
                    requests.raise_failure()
        return self._jobs.from_proto(response.job)


class _Requests:
    """The messages of an upload. Keeps what stopped them (gRPC would only log it)."""

    def __init__(self, messages: Iterator[datasets_pb2.UploadDatasetRequest]) -> None:
        self._messages = messages
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[datasets_pb2.UploadDatasetRequest]:
        return self

    def __next__(self) -> datasets_pb2.UploadDatasetRequest:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _requests(
    name: str,
    upload: Upload,
    shape: ImageShape | None,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[datasets_pb2.UploadDatasetRequest]:
    header = datasets_pb2.UploadHeader(
        name=name,
        format=upload.format,
        shape=shape_to_proto(shape) if shape is not None else None,
        size_bytes=upload.size_bytes,
    )
    yield datasets_pb2.UploadDatasetRequest(header=header)
    for chunk in upload.chunks(on_progress):
        yield datasets_pb2.UploadDatasetRequest(chunk=chunk)


def _from_proto(message: datasets_pb2.Dataset) -> Dataset:
    return Dataset(
        name=message.name,
        digest=message.digest,
        shape=shape_from_proto(message.shape),
        classes=tuple(ClassCount(one.name, one.train, one.test) for one in message.classes),
        train_images=message.train_images,
        test_images=message.test_images,
        size_bytes=message.size_bytes,
        create_time=time_from_proto(message.create_time),
        source=message.source,
        job_id=message.job_id,
    )
