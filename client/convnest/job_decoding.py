"""From the API's job messages to this package's types."""

from __future__ import annotations

from collections.abc import Sequence

from convnest_api.v1 import jobs_pb2, training_pb2
from google.protobuf.message import Message

from convnest.convert import dict_from_struct, enum_from_proto, shape_from_proto, time_from_proto
from convnest.job_types import (
    CollectGarbageResult,
    CollectGarbageSpec,
    EpochMetrics,
    IngestResult,
    IngestSpec,
    JobError,
    JobKind,
    JobState,
    LayerSummary,
    Progress,
    RebuildResult,
    RebuildSpec,
    Result,
    Spec,
    TrainResult,
    TrainSpec,
)


def job_state(value: jobs_pb2.JobState.ValueType) -> JobState:
    known = value in jobs_pb2.JobState.values()
    name = jobs_pb2.JobState.Name(value) if known else ""
    return enum_from_proto(JobState, name, prefix="JOB_STATE_")


def job_kind(value: jobs_pb2.JobKind.ValueType) -> JobKind:
    known = value in jobs_pb2.JobKind.values()
    name = jobs_pb2.JobKind.Name(value) if known else ""
    return enum_from_proto(JobKind, name, prefix="JOB_KIND_")


def train_spec(message: jobs_pb2.TrainSpec) -> TrainSpec:
    optimizer = message.optimizer
    return TrainSpec(
        dataset=message.dataset,
        network=dict_from_struct(message.network),
        model=message.model,
        epochs=message.epochs if message.HasField("epochs") else None,
        batch_size=message.batch_size if message.HasField("batch_size") else None,
        learning_rate=optimizer.learning_rate if optimizer.HasField("learning_rate") else None,
        momentum=optimizer.momentum if optimizer.HasField("momentum") else None,
        weight_decay=optimizer.weight_decay if optimizer.HasField("weight_decay") else None,
        optimizer=_settings(optimizer, besides=("learning_rate", "momentum", "weight_decay")),
        schedule=_settings(message.schedule),
        loss=message.loss or None,
        label_smoothing=message.label_smoothing if message.HasField("label_smoothing") else None,
        class_weights=dict(message.class_weights) or None,
        augment=[_settings(step) or "" for step in message.augment] or None,
        validation_fraction=(
            message.validation_fraction if message.HasField("validation_fraction") else None
        ),
        keep=message.keep or None,
        stop_patience=message.stop_patience if message.HasField("stop_patience") else None,
        seed=message.seed if message.HasField("seed") else None,
        checkpoint_interval_s=(
            message.checkpoint_interval_s if message.HasField("checkpoint_interval_s") else None
        ),
    )


def _settings(message: Message, besides: Sequence[str] = ()) -> str | dict[str, object] | None:
    """What a message says, apart from some fields: as a name alone where it says no more."""
    said: dict[str, object] = {
        field.name: value for field, value in message.ListFields() if field.name not in besides
    }
    return str(said["name"]) if said.keys() == {"name"} else said or None


def spec(job: jobs_pb2.Job) -> Spec | None:
    match job.WhichOneof("spec"):
        case "train":
            return train_spec(job.train)
        case "ingest":
            return IngestSpec(
                dataset=job.ingest.dataset,
                builtin=job.ingest.builtin,
                format=job.ingest.format,
                shape=(
                    shape_from_proto(job.ingest.shape) if job.ingest.HasField("shape") else None
                ),
            )
        case "collect_garbage":
            asked = job.collect_garbage
            age_s = asked.min_age_s if asked.HasField("min_age_s") else None
            return CollectGarbageSpec(dry_run=asked.dry_run, min_age_s=age_s)
        case "rebuild":
            return RebuildSpec()
    return None


def progress(message: jobs_pb2.Progress) -> Progress:
    return Progress(
        phase=message.phase,
        done=message.done,
        total=message.total,
        epoch=message.epoch,
        epochs=message.epochs,
        loss=message.loss,
        images_per_second=message.images_per_second,
        seconds_left=message.seconds_left,
    )


def epoch_metrics(message: jobs_pb2.EpochMetrics) -> EpochMetrics:
    return EpochMetrics(
        epoch=message.epoch,
        train_loss=message.train_loss,
        train_accuracy=message.train_accuracy,
        validation_loss=message.validation_loss,
        validation_accuracy=message.validation_accuracy,
        seconds=message.seconds,
        validation_top5=message.validation_top5,
        learning_rate=message.learning_rate,
    )


def job_error(message: jobs_pb2.JobError) -> JobError:
    return JobError(
        reason=message.reason,
        message=message.message,
        field=message.field,
        attempt=message.attempt,
        time=time_from_proto(message.time) if message.HasField("time") else None,
        stderr_tail=message.stderr_tail,
    )


def result(job: jobs_pb2.Job) -> Result | None:
    match job.WhichOneof("result"):
        case "train_result":
            made = job.train_result
            return TrainResult(
                model=made.model,
                version=made.version,
                weights_digest=made.weights_digest,
                validation_accuracy=made.validation_accuracy,
                test_accuracy=made.test_accuracy if made.HasField("test_accuracy") else None,
                epoch=made.epoch,
            )
        case "ingest_result":
            return IngestResult(job.ingest_result.dataset, job.ingest_result.digest)
        case "collect_garbage_result":
            found = job.collect_garbage_result
            return CollectGarbageResult(blobs=found.blobs, bytes=found.bytes, kept=found.kept)
        case "rebuild_result":
            rebuilt = job.rebuild_result
            return RebuildResult(rebuilt.model_versions, rebuilt.datasets, tuple(rebuilt.problems))
    return None


def layer_summary(message: training_pb2.LayerSummary) -> LayerSummary:
    return LayerSummary(
        path=message.path,
        kind=message.kind,
        output_shape=tuple(message.output_shape),
        parameters=message.parameters,
    )
