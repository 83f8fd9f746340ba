"""DatasetService."""

from collections.abc import AsyncIterator, Iterator, Sequence

import numpy as np
import structlog
from convnest_api.v1 import datasets_pb2, datasets_pb2_grpc, jobs_pb2
from convnest_process.broker import JobHints
from convnest_store.blobs import Blob, BlobStore
from convnest_store.builtin import BUILTINS
from convnest_store.catalog import DatasetCatalog
from convnest_store.datasets import Dataset, LabelArray
from convnest_store.errors import AlreadyExists, InvalidInput, NotFound, StoreError
from convnest_store.images import ImageShape, encode_png
from convnest_store.jobs import Job, JobStore, NewJob
from convnest_store.names import check_name, did_you_mean
from convnest_store.scaffolding import remove_scaffolding
from convnest_store.states import JobKind

from convnest_server import convert
from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Violation
from convnest_server.interceptor import Context
from convnest_server.paging import decode_token, encode_token, page_size
from convnest_server.request_ids import request_id_violations
from convnest_server.uploads import Uploads

log = structlog.get_logger(__name__)

_FORMATS = ("npz", "zip")
_MAX_SAMPLES = 100


class DatasetServicer(datasets_pb2_grpc.DatasetServiceServicer):
    """See datasets.proto."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        datasets: DatasetCatalog,
        blobs: BlobStore,
        uploads: Uploads,
        hints: JobHints,
        blocking: Blocking,
    ) -> None:
        self._jobs, self._datasets, self._blobs = jobs, datasets, blobs
        self._uploads, self._hints, self._blocking = uploads, hints, blocking

    async def UploadDataset(  # noqa: N802
        self,
        request_iterator: AsyncIterator[datasets_pb2.UploadDatasetRequest],
        _context: Context,
    ) -> datasets_pb2.UploadDatasetResponse:
        header = await _header(request_iterator)
        shape = _check_header(header)
        await self._blocking.run(self._check_free, header.name)

        def accept(upload: Blob) -> Job:
            return self._create(header.name, format=header.format, shape=shape, upload=upload)

        job = await self._uploads.take(
            _chunks(request_iterator),
            announced_bytes=header.size_bytes,
            accept=accept,
            withdraw=self._withdraw,
        )
        return datasets_pb2.UploadDatasetResponse(job=convert.job(job))

    async def ImportDataset(  # noqa: N802
        self, request: datasets_pb2.ImportDatasetRequest, _context: Context
    ) -> datasets_pb2.ImportDatasetResponse:
        _check_import(request)
        job = await self._blocking.run(
            self._create, request.name, builtin=request.builtin, request_id=request.request_id
        )
        return datasets_pb2.ImportDatasetResponse(job=convert.job(job))

    def _check_free(self, name: str) -> None:
        try:
            self._datasets.get(name)
        except NotFound:
            return
        raise AlreadyExists(f"dataset {name} exists already")

    def _create(
        self,
        name: str,
        *,
        builtin: str = "",
        format: str = "",
        shape: ImageShape | None = None,
        upload: Blob | None = None,
        request_id: str = "",
    ) -> Job:
        spec = {
            "dataset": name,
            "builtin": builtin,
            "format": format,
            "shape": str(shape) if shape else "",
            "upload": vars(upload) if upload else None,
        }
        new = NewJob(JobKind.INGEST, spec, makes_dataset=name)
        job, created = self._jobs.create(new, request_id=request_id)
        if created:
            self._hints.send()
        return job

    def _withdraw(self, job: Job) -> None:
        """Of an upload whose caller has gone."""
        try:
            cancelled = self._jobs.cancel(job.id)
            if cancelled.state.final:  # no worker will clean up after it
                remove_scaffolding(cancelled, self._blobs)
        except StoreError as error:
            log.warning("upload not withdrawn", job_id=job.id, error=str(error))

    async def GetDataset(  # noqa: N802
        self, request: datasets_pb2.GetDatasetRequest, _context: Context
    ) -> datasets_pb2.GetDatasetResponse:
        name = check_name(request.name, field="name")
        record = await self._blocking.run(self._datasets.get, name)
        return datasets_pb2.GetDatasetResponse(dataset=convert.dataset(record))

    async def ListDatasets(  # noqa: N802
        self, request: datasets_pb2.ListDatasetsRequest, _context: Context
    ) -> datasets_pb2.ListDatasetsResponse:
        size = page_size(request.page_size)
        found = await self._blocking.run(
            self._datasets.list, after=decode_token(request.page_token), limit=size + 1
        )
        page = found[:size]
        return datasets_pb2.ListDatasetsResponse(
            datasets=[convert.dataset(record) for record in page],
            next_page_token=encode_token(page[-1].name) if len(found) > size else "",
        )

    async def SampleDataset(  # noqa: N802
        self, request: datasets_pb2.SampleDatasetRequest, _context: Context
    ) -> datasets_pb2.SampleDatasetResponse:
        _check_sample(request)
        images = await self._blocking.run(self._sample, request)
        return datasets_pb2.SampleDatasetResponse(images=images)

    def _sample(
        self, request: datasets_pb2.SampleDatasetRequest
    ) -> Sequence[datasets_pb2.SampleImage]:
        record = self._datasets.get(request.name)
        with self._blobs.open(record.blob) as path:
            data = Dataset.load(path)
        images, labels = data.images, data.labels
        if request.split == datasets_pb2.DATASET_SPLIT_TEST:
            images, labels = data.test_images, data.test_labels
        return [
            datasets_pb2.SampleImage(
                png=encode_png(images[row]), label=data.classes[labels[row]], index=row
            )
            for row in _spread(labels, request.count)
        ]

    async def DeleteDataset(  # noqa: N802
        self, request: datasets_pb2.DeleteDatasetRequest, _context: Context
    ) -> datasets_pb2.DeleteDatasetResponse:
        name = check_name(request.name, field="name")
        await self._blocking.run(self._delete, name)
        return datasets_pb2.DeleteDatasetResponse()

    def _delete(self, name: str) -> None:
        record = self._datasets.delete(name)
        # First the manifest: a rebuild must not bring back what was deleted.
        self._blobs.delete(record.manifest_key)
        self._blobs.delete(record.blob.key)


async def _header(
    parts: AsyncIterator[datasets_pb2.UploadDatasetRequest],
) -> datasets_pb2.UploadHeader:
    async for part in parts:
        if part.WhichOneof("part") == "header":
            return part.header
        break
    raise InvalidRequest([Violation("header", "the first message must be the header")])


async def _chunks(parts: AsyncIterator[datasets_pb2.UploadDatasetRequest]) -> AsyncIterator[bytes]:
    async for part in parts:
        if part.WhichOneof("part") != "chunk":
            raise InvalidRequest([Violation("chunk", "after the header come only chunks")])
        yield part.chunk


def _check_import(request: datasets_pb2.ImportDatasetRequest) -> None:
    violations = [*_name_violations(request.name, field="name")]
    if request.builtin not in BUILTINS:
        known, near = ", ".join(sorted(BUILTINS)), did_you_mean(request.builtin, BUILTINS)
        message = f"must be one of {known}, got {request.builtin[:80]!r}{near}"
        violations.append(Violation("builtin", message))
    violations += request_id_violations(request.request_id)
    if violations:
        raise InvalidRequest(violations)


def _check_sample(request: datasets_pb2.SampleDatasetRequest) -> None:
    violations = [*_name_violations(request.name, field="name")]
    if request.split not in datasets_pb2.DatasetSplit.values():
        violations.append(Violation("split", f"must be TRAIN or TEST, got {request.split}"))
    if not 1 <= request.count <= _MAX_SAMPLES:
        message = f"must be ≥ 1 and ≤ {_MAX_SAMPLES}, got {request.count}"
        violations.append(Violation("count", message))
    if violations:
        raise InvalidRequest(violations)


def _name_violations(name: str, *, field: str) -> Iterator[Violation]:
    try:
        check_name(name, field=field)
    except InvalidInput as error:
        yield Violation(field, error.message)


def _check_header(header: datasets_pb2.UploadHeader) -> ImageShape | None:
    violations = [*_name_violations(header.name, field="header.name")]
    shape = None
    try:
        shape = _shape(header.shape) if header.HasField("shape") else None
    except InvalidInput as error:
        violations.append(Violation(error.field, error.message))
    if header.format not in _FORMATS:
        message = f"must be one of {', '.join(_FORMATS)}, got {header.format[:80]!r}"
        violations.append(Violation("header.format", message))
    if violations:
        raise InvalidRequest(violations)
    return shape


def _shape(message: jobs_pb2.ImageShape) -> ImageShape:
    try:
        return ImageShape(message.height, message.width, message.channels)
    except InvalidInput as error:
        raise InvalidInput("header.shape", error.message) from error


def _spread(labels: LabelArray, count: int) -> list[int]:
    """`count` rows, as evenly over the classes as there are images, in class order."""
    rows = {label: np.flatnonzero(labels == label).tolist() for label in np.unique(labels)}
    chosen: list[tuple[int, int]] = []
    rank = 0
    while len(chosen) < min(count, len(labels)):
        for label, candidates in rows.items():
            if rank < len(candidates) and len(chosen) < count:
                chosen.append((int(label), candidates[rank]))
        rank += 1
    return [row for _, row in sorted(chosen)]
