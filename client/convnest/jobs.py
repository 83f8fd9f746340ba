"""Jobs: to submit, list, follow and cancel them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from convnest_api.v1 import jobs_pb2, training_pb2, training_pb2_grpc

from convnest import job_decoding as decode
from convnest.connection import Connection
from convnest.convert import pages, time_from_proto
from convnest.errors import ConvNestError, InvalidArgument
from convnest.events import JobEvent
from convnest.job_types import (
    JobError,
    JobKind,
    JobState,
    LayerSummary,
    Progress,
    Result,
    Spec,
    TrainSpec,
)
from convnest.spec_encoding import train_spec_to_proto
from convnest.watching import PATIENCE_S, watch_job


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of work as it was when asked; `refresh` asks anew."""

    id: str
    kind: JobKind
    state: JobState
    spec: Spec | None
    priority: int
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    failed_attempts: int
    max_attempts: int
    cancel_requested: bool
    pause_requested: bool
    queue_position: int
    """1 for the waiting job that the next free worker takes; 0 where it does not wait."""
    worker: str
    progress: Progress | None
    error: JobError | None
    failures: tuple[JobError, ...]
    result: Result | None
    _jobs: Jobs = field(repr=False, compare=False)

    def refresh(self) -> Job:
        """The job as it is now."""
        return self._jobs.get(self.id)

    def watch(
        self,
        cursor: int = 0,
        *,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
        on_interruption: Callable[[ConvNestError], None] | None = None,
    ) -> Generator[JobEvent, None, None]:
        """Yields what happens, from the first event (or after `cursor`) to the final state.

        Goes on by itself after a restart of the server, with no event lost or shown twice; gives
        up once the server was away for `patience_s`. DeadlineExceeded after `timeout_s` in all.
        """
        return self._jobs.watch(
            self.id,
            cursor,
            timeout_s=timeout_s,
            patience_s=patience_s,
            on_interruption=on_interruption,
        )

    def wait(self, timeout_s: float | None = None) -> Job:
        """Waits for the job's final state, whichever it is, and returns the job in it.

        DeadlineExceeded where it has not ended after `timeout_s`; the job itself goes on.
        """
        for _ in self.watch(timeout_s=timeout_s):
            pass
        return self.refresh()

    def cancel(self) -> Job:
        """Asks the job to end; a running one does at its next batch.

        FailedPrecondition where it has ended already.
        """
        return self._jobs.cancel(self.id)

    def pause(self) -> Job:
        """Asks to set the job aside; a running one leaves a checkpoint and stops at its next batch.

        FailedPrecondition where it neither waits nor runs.
        """
        return self._jobs.pause(self.id)

    def resume(self) -> Job:
        """Queues the paused job again. FailedPrecondition where it is not paused."""
        return self._jobs.resume(self.id)

    def retry(self) -> Job:
        """Queues the same training anew, as another job, which is returned.

        FailedPrecondition where this one has neither failed nor been cancelled.
        """
        return self._jobs.retry(self.id)

    def set_priority(self, priority: int) -> Job:
        """Moves the job in the queue; -100 to 100, higher runs first.

        FailedPrecondition where it has ended.
        """
        return self._jobs.set_priority(self.id, priority)


class Jobs:
    """Jobs of every kind: `client.jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = training_pb2_grpc.TrainingServiceStub(connection.channel)

    def submit(self, spec: TrainSpec, *, priority: int = 0, request_id: str | None = None) -> Job:
        """Queues a training job; priorities -100 to 100, higher runs first.

        The same `request_id` again (within a day) returns the same job.
        InvalidArgument names each field at fault; NotFound where the dataset does not exist.
        """
        request = training_pb2.CreateTrainingJobRequest(
            spec=train_spec_to_proto(spec),
            priority=priority,
            request_id=request_id or uuid.uuid4().hex,
        )
        response = self._connection.call(self._stub.CreateTrainingJob, request)
        return self.from_proto(response.job)

    def validate(
        self, spec: TrainSpec, *, priority: int = 0
    ) -> tuple[TrainSpec, Sequence[LayerSummary]]:
        """Checks a training job without queueing it.

        Returns its spec with every default filled in, and the network's layers.
        """
        request = training_pb2.CreateTrainingJobRequest(
            spec=train_spec_to_proto(spec), priority=priority, validate_only=True
        )
        response = self._connection.call(self._stub.CreateTrainingJob, request)
        layers = tuple(decode.layer_summary(layer) for layer in response.layers)
        return decode.train_spec(response.job.train), layers

    def get(self, job_id: str) -> Job:
        """One job. NotFound where there is none."""
        request = training_pb2.GetJobRequest(id=job_id)
        return self.from_proto(self._connection.call(self._stub.GetJob, request).job)

    def list(self, *, states: Iterable[JobState | str] = ()) -> Iterator[Job]:
        """Jobs of every kind, newest first; only those in `states`, where given."""
        wanted = [jobs_pb2.JobState.Value(f"JOB_STATE_{JobState(state).value}") for state in states]

        def fetch(token: str) -> tuple[Sequence[Job], str]:
            request = training_pb2.ListJobsRequest(page_token=token, states=wanted)
            page = self._connection.call(self._stub.ListJobs, request)
            return [self.from_proto(job) for job in page.jobs], page.next_page_token

        return pages(fetch)

    def watch(
        self,
        job_id: str,
        cursor: int = 0,
        *,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
        on_interruption: Callable[[ConvNestError], None] | None = None,
    ) -> Generator[JobEvent, None, None]:
        """As `Job.watch`, by id."""
        return watch_job(
            self._connection,
            job_id,
            cursor=cursor,
            timeout_s=timeout_s,
            patience_s=patience_s,
            on_interruption=on_interruption,
        )

    def cancel(self, job_id: str) -> Job:
        """As `Job.cancel`, by id."""
        request = training_pb2.CancelJobRequest(id=job_id)
        return self.from_proto(self._connection.call(self._stub.CancelJob, request).job)

    def pause(self, job_id: str) -> Job:
        """As `Job.pause`, by id."""
        request = training_pb2.PauseJobRequest(id=job_id)
        return self.from_proto(self._connection.call(self._stub.PauseJob, request).job)

    def resume(self, job_id: str) -> Job:
        """As `Job.resume`, by id."""
        request = training_pb2.ResumeJobRequest(id=job_id)
        return self.from_proto(self._connection.call(self._stub.ResumeJob, request).job)

    def retry(self, job_id: str, *, request_id: str | None = None) -> Job:
        """As `Job.retry`, by id; the same `request_id` again (within a day) is the same job."""
        request = training_pb2.RetryJobRequest(id=job_id, request_id=request_id or uuid.uuid4().hex)
        return self.from_proto(self._connection.call(self._stub.RetryJob, request).job)

    def set_priority(self, job_id: str, priority: int) -> Job:
        """As `Job.set_priority`, by id."""
        if not -(2**31) <= priority < 2**31:
            raise InvalidArgument.of("priority", f"must be ≥ -100 and ≤ 100, got {priority}")
        request = training_pb2.SetJobPriorityRequest(id=job_id, priority=priority)
        return self.from_proto(self._connection.call(self._stub.SetJobPriority, request).job)

    def remove(self, job_id: str) -> None:
        """Removes a job's record and events; what it made stays.

        FailedPrecondition where the job has not ended.
        """
        self._connection.call(self._stub.DeleteJob, training_pb2.DeleteJobRequest(id=job_id))

    def from_proto(self, message: jobs_pb2.Job) -> Job:
        """The API's message as a `Job` that asks through this connection."""

        def time(name: Literal["create_time", "start_time", "end_time"]) -> datetime | None:
            return time_from_proto(getattr(message, name)) if message.HasField(name) else None

        return Job(
            id=message.id,
            kind=decode.job_kind(message.kind),
            state=decode.job_state(message.state),
            spec=decode.spec(message),
            priority=message.priority,
            create_time=time("create_time"),
            start_time=time("start_time"),
            end_time=time("end_time"),
            failed_attempts=message.failed_attempts,
            max_attempts=message.max_attempts,
            cancel_requested=message.cancel_requested,
            pause_requested=message.pause_requested,
            queue_position=message.queue_position,
            worker=message.worker,
            progress=decode.progress(message.progress) if message.HasField("progress") else None,
            error=decode.job_error(message.error) if message.HasField("error") else None,
            failures=tuple(decode.job_error(failure) for failure in message.failures),
            result=decode.result(message),
            _jobs=self,
        )
