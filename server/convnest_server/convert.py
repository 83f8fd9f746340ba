"""Stored records as messages."""

from collections.abc import Mapping
from typing import Any

from convnest_api.v1 import datasets_pb2, jobs_pb2, models_pb2
from convnest_store.catalog import DatasetRecord
from convnest_store.events import Event
from convnest_store.images import ImageShape
from convnest_store.jobs import Failure, Job
from convnest_store.registry import Model, ModelVersion
from convnest_store.states import JobKind, JobState, Wish
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

STATES: Mapping[JobState, jobs_pb2.JobState.ValueType] = {
    state: jobs_pb2.JobState.Value(f"JOB_STATE_{state}") for state in JobState
}
KINDS: Mapping[JobKind, jobs_pb2.JobKind.ValueType] = {
    kind: jobs_pb2.JobKind.Value(f"JOB_KIND_{kind.upper()}") for kind in JobKind
}


def timestamp(milliseconds: int) -> Timestamp | None:
    """None for 0: never."""
    if not milliseconds:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp


def image_shape(shape: ImageShape) -> jobs_pb2.ImageShape:
    """A shape as a message."""
    return jobs_pb2.ImageShape(height=shape.height, width=shape.width, channels=shape.channels)


def train_spec(spec: dict[str, Any]) -> jobs_pb2.TrainSpec:
    """A stored training spec as a message."""
    known = {name: value for name, value in spec.items() if name != "dataset_digest"}
    return ParseDict(known, jobs_pb2.TrainSpec())


def job(record: Job) -> jobs_pb2.Job:
    """A job record as a message."""
    message = jobs_pb2.Job(
        id=record.id,
        kind=KINDS[record.kind],
        state=STATES[record.state],
        priority=record.priority,
        create_time=timestamp(record.created_ms),
        start_time=timestamp(record.started_ms),
        end_time=timestamp(record.ended_ms),
        failed_attempts=record.failed_attempts,
        max_attempts=record.max_attempts,
        cancel_requested=record.wish is Wish.CANCEL,
        pause_requested=record.wish is Wish.PAUSE,
        queue_position=record.queue_position,
        worker=record.worker,
        progress=progress(record.progress) if record.progress else None,
        error=job_error(record.error) if record.error else None,
        failures=[job_error(failure) for failure in record.failures],
    )
    _set_spec(message, record)
    if record.result is not None:
        _set_result(message, record.kind, record.result)
    return message


def _set_spec(message: jobs_pb2.Job, record: Job) -> None:
    spec = record.spec
    match record.kind:
        case JobKind.TRAIN:
            message.train.CopyFrom(train_spec(spec))
        case JobKind.INGEST:
            message.ingest.CopyFrom(
                jobs_pb2.IngestSpec(
                    dataset=spec["dataset"],
                    builtin=spec["builtin"],
                    format=spec["format"],
                    shape=image_shape(ImageShape.parse(spec["shape"])) if spec["shape"] else None,
                )
            )
        case JobKind.COLLECT_GARBAGE:
            message.collect_garbage.CopyFrom(
                jobs_pb2.CollectGarbageSpec(dry_run=spec["dry_run"], min_age_s=spec["min_age_s"])
            )
        case JobKind.REBUILD:
            message.rebuild.SetInParent()


def _set_result(message: jobs_pb2.Job, kind: JobKind, result: dict[str, Any]) -> None:
    match kind:
        case JobKind.TRAIN:
            message.train_result.CopyFrom(jobs_pb2.TrainResult(**result))
        case JobKind.INGEST:
            message.ingest_result.CopyFrom(jobs_pb2.IngestResult(**result))
        case JobKind.COLLECT_GARBAGE:
            message.collect_garbage_result.CopyFrom(jobs_pb2.CollectGarbageResult(**result))
        case JobKind.REBUILD:
            message.rebuild_result.CopyFrom(jobs_pb2.RebuildResult(**result))


def job_error(failure: Failure) -> jobs_pb2.JobError:
    """A failure as a message."""
    return jobs_pb2.JobError(
        reason=failure.reason,
        message=failure.message,
        field=failure.field,
        attempt=failure.attempt,
        time=timestamp(failure.time_ms),
        stderr_tail=failure.stderr_tail,
    )


def progress(data: dict[str, Any]) -> jobs_pb2.Progress:
    """Stored progress as a message."""
    return jobs_pb2.Progress(**data)


def event(record: Event) -> jobs_pb2.JobEvent:
    """An event as a message."""
    message = jobs_pb2.JobEvent(cursor=record.cursor, time=timestamp(record.time_ms))
    data = record.data
    match record.kind:
        case "state":
            error = data.get("error")
            message.state_changed.CopyFrom(
                jobs_pb2.StateChanged(
                    state=STATES[JobState(data["state"])],
                    reason=data["reason"],
                    worker=data["worker"],
                    error=job_error(Failure.read(error)) if error else None,
                )
            )
        case "epoch":
            message.epoch_finished.CopyFrom(jobs_pb2.EpochMetrics(**data))
        case "progress":
            message.progress.CopyFrom(progress(data))
        case "checkpoint":
            message.checkpoint_written.CopyFrom(jobs_pb2.CheckpointWritten(**data))
        case "log":
            message.log.CopyFrom(jobs_pb2.LogLine(**data))
        case "truncated":
            message.truncated.CopyFrom(jobs_pb2.Truncated(**data))
        case unknown:
            raise ValueError(f"event {record.cursor} is of unknown kind {unknown}")
    return message


def dataset(record: DatasetRecord) -> datasets_pb2.Dataset:
    """A dataset record as a message."""
    counts = zip(record.classes, record.train_counts, record.test_counts, strict=True)
    return datasets_pb2.Dataset(
        name=record.name,
        digest=record.digest,
        shape=image_shape(record.shape),
        classes=[
            datasets_pb2.ClassCount(name=name, train=train, test=test)
            for name, train, test in counts
        ],
        train_images=sum(record.train_counts),
        test_images=sum(record.test_counts),
        size_bytes=record.blob.size_bytes,
        create_time=timestamp(record.created_ms),
        source=record.source,
        job_id=record.job_id,
    )


def model(record: Model) -> models_pb2.Model:
    """A model as a message."""
    return models_pb2.Model(
        name=record.name,
        latest_version=record.latest,
        versions=len(record.versions),
        aliases=record.aliases,
        create_time=timestamp(record.created_ms),
    )


def model_version(record: ModelVersion) -> models_pb2.ModelVersion:
    """A model version as a message."""
    prepare = record.preprocessing
    message = models_pb2.ModelVersion(
        model=record.model,
        version=record.version,
        aliases=record.aliases,
        create_time=timestamp(record.created_ms),
        job_id=record.job_id,
        classes=record.classes,
        preprocessing=models_pb2.Preprocessing(
            shape=image_shape(prepare.shape), mean=prepare.mean, std=prepare.std
        ),
        parameters=record.parameters,
        weights_digest=record.weights.digest,
        size_bytes=record.weights.size_bytes,
        dataset=record.dataset,
        dataset_digest=record.dataset_digest,
        spec=train_spec(record.spec),
        history=[jobs_pb2.EpochMetrics(**_metrics(epoch)) for epoch in record.history],
        test_accuracy=record.test_accuracy,
        fingerprint=record.fingerprint,
        epoch=record.epoch,
        by_class=[models_pb2.ClassMetrics(**one) for one in record.by_class],
    )
    message.network.update(record.network)
    return message


def _metrics(epoch: Mapping[str, float]) -> dict[str, Any]:
    return {**epoch, "epoch": int(epoch["epoch"])}
