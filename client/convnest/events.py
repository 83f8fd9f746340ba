"""What happens to a job, as `Job.watch` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from convnest_api.v1 import jobs_pb2

from convnest.convert import time_from_proto
from convnest.job_decoding import epoch_metrics, job_error, job_state, progress
from convnest.job_types import EpochMetrics, JobError, JobState, Progress


@dataclass(frozen=True)
class JobEvent:
    """Something that happened. Watching from `cursor` shows what came after it.

    An event of a kind that this client does not know yet is of this class itself.
    """

    cursor: int
    time: datetime


@dataclass(frozen=True)
class StateChanged(JobEvent):
    """The job entered a state; `error` says what went wrong, where something did."""

    state: JobState
    reason: str
    worker: str
    error: JobError | None


@dataclass(frozen=True)
class EpochFinished(JobEvent):
    """An epoch ended."""

    metrics: EpochMetrics


@dataclass(frozen=True)
class ProgressMade(JobEvent):
    """The job got further."""

    progress: Progress


@dataclass(frozen=True)
class CheckpointWritten(JobEvent):
    """A checkpoint was written; after a crash the job goes on from it."""

    epoch: int
    batch: int
    size_bytes: int


@dataclass(frozen=True)
class LogWritten(JobEvent):
    """A line for people; `level` is "info" or "warning"."""

    level: str
    text: str


@dataclass(frozen=True)
class Truncated(JobEvent):
    """`events` older events are no longer stored (progress and log lines are trimmed)."""

    events: int


def event_from_proto(message: jobs_pb2.JobEvent) -> JobEvent:
    cursor, time = message.cursor, time_from_proto(message.time)
    match message.WhichOneof("event"):
        case "state_changed":
            change = message.state_changed
            return StateChanged(
                cursor=cursor,
                time=time,
                state=job_state(change.state),
                reason=change.reason,
                worker=change.worker,
                error=job_error(change.error) if change.HasField("error") else None,
            )
        case "epoch_finished":
            return EpochFinished(cursor, time, epoch_metrics(message.epoch_finished))
        case "progress":
            return ProgressMade(cursor, time, progress(message.progress))
        case "checkpoint_written":
            written = message.checkpoint_written
            return CheckpointWritten(cursor, time, written.epoch, written.batch, written.size_bytes)
        case "log":
            return LogWritten(cursor, time, message.log.level, message.log.text)
        case "truncated":
            return Truncated(cursor, time, message.truncated.events)
    return JobEvent(cursor, time)
