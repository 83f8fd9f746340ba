"""What a fake ConvNest holds, what it saw, and how its calls are to fail."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
from convnest_api.v1 import (
    datasets_pb2,
    jobs_pb2,
    models_pb2,
)
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

NOW = Timestamp(seconds=1_700_000_000)
PNG = b"\x89PNG\r\n\x1a\n not really"
FINAL = (jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED, jobs_pb2.JOB_STATE_CANCELLED)


@dataclass
class Failure:
    """What a call is to fail with."""

    code: grpc.StatusCode
    message: str = "it went wrong"
    details: list[Message] = field(default_factory=list)

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code.name), message=self.message)
        for detail in self.details:
            status.details.add().Pack(detail)
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


class FakeConvNest:
    """Its content, the requests it saw, and what it is to do next."""

    def __init__(self, add_servicers: Callable[[FakeConvNest, grpc.Server], None]) -> None:
        self._add_servicers = add_servicers
        self.jobs: dict[str, jobs_pb2.Job] = {}
        self.events: dict[str, list[jobs_pb2.JobEvent]] = defaultdict(list)
        self.datasets: dict[str, datasets_pb2.Dataset] = {}
        self.models: dict[str, models_pb2.Model] = {}
        self.versions: list[models_pb2.ModelVersion] = []
        self.uploaded = b""
        self.requests: list[Message] = []
        self.metadata: dict[str, str] = {}
        self.failures: dict[str, list[Failure]] = defaultdict(list)
        self.page_size = 2
        self.epochs = 3
        self.accuracy = 0.991
        self.holds_jobs = False  # new jobs stay QUEUED
        self.breaks_stream_after: int | None = None  # events until a stream is cut
        self.ends_stream_after: int | None = None  # events until a stream ends in good order
        self.ends_streams = False  # even of a job that is not final
        self.watchers = 0  # that have come so far
        self.changed = threading.Condition()
        self.is_stopping = False
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.is_stopping = False
        server = grpc.server(ThreadPoolExecutor(8))
        self._add_servicers(self, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        self.is_stopping = True
        with self.changed:
            self.changed.notify_all()
        if self._server is not None:
            self._server.stop(grace=0).wait()
        self._server = None

    def saw(self, request: Message, context: grpc.ServicerContext) -> None:
        """Notes a request, and fails it if that is what comes next."""
        self.requests.append(request)
        name = type(request).__name__.removesuffix("Request")
        if self.failures[name]:
            self.failures[name].pop(0).abort(context)

    def add_job(self, job: jobs_pb2.Job) -> jobs_pb2.Job:
        """Queues a job and, unless jobs are held, lets it succeed at once."""
        job.id = f"job-{len(self.jobs) + 1}"
        job.state = jobs_pb2.JOB_STATE_QUEUED
        job.create_time.CopyFrom(NOW)
        job.max_attempts = 3
        self.jobs[job.id] = job
        self.enter(job.id, jobs_pb2.JOB_STATE_QUEUED)
        answer = jobs_pb2.Job()
        answer.CopyFrom(job)
        if not self.holds_jobs:
            self.run(job.id)
        return answer

    def run(self, job_id: str) -> None:
        job = self.jobs[job_id]
        self.enter(job_id, jobs_pb2.JOB_STATE_RUNNING, worker="worker-1")
        job.start_time.CopyFrom(NOW)
        kind = job.WhichOneof("spec")
        if kind == "train":
            for epoch in range(1, self.epochs + 1):
                self.emit(job_id, progress=self.progress(epoch))
                self.emit(job_id, epoch_finished=self.epoch(epoch))
            job.train_result.model = job.train.model
            job.train_result.version = 1
            job.train_result.validation_accuracy = self.accuracy
            job.train_result.test_accuracy = 0.987
        elif kind == "ingest":
            self.emit(job_id, progress=jobs_pb2.Progress(phase="decoding", done=5, total=10))
            job.ingest_result.dataset = job.ingest.dataset
            self.add_dataset(job.ingest.dataset)
        elif kind == "collect_garbage":
            job.collect_garbage_result.blobs = 2
            job.collect_garbage_result.bytes = 4096
            job.collect_garbage_result.kept = 7
        elif kind == "rebuild":
            job.rebuild_result.model_versions = 3
        job.end_time.FromSeconds(NOW.seconds + 42)
        self.enter(job_id, jobs_pb2.JOB_STATE_SUCCEEDED)

    def progress(self, epoch: int) -> jobs_pb2.Progress:
        return jobs_pb2.Progress(
            phase="training",
            done=10 * epoch - 5,
            total=10 * self.epochs,
            epoch=epoch,
            epochs=self.epochs,
            loss=1 / epoch,
            images_per_second=5120,
            seconds_left=8,
        )

    def epoch(self, epoch: int) -> jobs_pb2.EpochMetrics:
        return jobs_pb2.EpochMetrics(
            epoch=epoch,
            train_loss=1 / epoch,
            train_accuracy=1 - 0.3 / epoch,
            validation_loss=0.8 / epoch,
            validation_accuracy=1 - 0.2 / epoch,
            seconds=2.1,
        )

    def enter(
        self,
        job_id: str,
        state: jobs_pb2.JobState.ValueType,
        *,
        worker: str = "",
        error: jobs_pb2.JobError | None = None,
    ) -> None:
        job = self.jobs[job_id]
        job.state = state
        if error is not None:
            job.error.CopyFrom(error)
        change = jobs_pb2.StateChanged(state=state, worker=worker, error=error)
        self.emit(job_id, state_changed=change)

    def emit(self, job_id: str, **what: Message) -> None:
        cursor = len(self.events[job_id]) + 1
        event = jobs_pb2.JobEvent(cursor=cursor, time=NOW, **what)  # type: ignore[arg-type]  # one of its kinds
        with self.changed:
            self.events[job_id].append(event)
            self.changed.notify_all()

    def add_dataset(self, name: str) -> None:
        self.datasets[name] = datasets_pb2.Dataset(
            name=name,
            digest="d1g",
            shape=jobs_pb2.ImageShape(height=28, width=28, channels=1),
            classes=[datasets_pb2.ClassCount(name=str(i), train=150, test=30) for i in range(10)],
            train_images=1500,
            test_images=300,
            size_bytes=1_440_000,
            create_time=NOW,
            source="builtin:digits",
            job_id="job-1",
        )

    def add_model(self, name: str, versions: int = 1) -> None:
        self.models[name] = models_pb2.Model(
            name=name, latest_version=versions, versions=versions, create_time=NOW
        )
        for number in range(versions, 0, -1):
            version = models_pb2.ModelVersion(
                model=name,
                version=number,
                create_time=NOW,
                job_id="job-1",
                classes=[str(digit) for digit in range(10)],
                parameters=61_706,
                size_bytes=246_824,
                dataset="digits",
                history=[self.epoch(epoch) for epoch in range(1, 4)],
                test_accuracy=0.987,
                fingerprint={"kernels": "numpy"},
            )
            version.network.update({"name": "lenet", "options": {"hidden": 84}})
            self.versions.append(version)

    def page(self, token: str, count: int) -> tuple[slice, str]:
        start = int(token or 0)
        end = start + self.page_size
        return slice(start, end), str(end) if end < count else ""


NOT_FOUND = Failure(
    grpc.StatusCode.NOT_FOUND,
    "there is no such thing",
    [error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="convnest")],
)
