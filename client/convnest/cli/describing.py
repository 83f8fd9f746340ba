"""A job in one line: what it does, how far it is, what it made."""

from __future__ import annotations

from convnest import (
    CollectGarbageResult,
    CollectGarbageSpec,
    IngestResult,
    IngestSpec,
    Job,
    JobState,
    RebuildResult,
    RebuildSpec,
    TrainResult,
    TrainSpec,
)
from convnest.cli.output import duration, percent, size


def describe(job: Job) -> str:
    """What it does, as in `lenet on digits → digits-lenet`."""
    match job.spec:
        case TrainSpec() as spec:
            return f"{spec.network_name} on {spec.dataset} → {spec.model}"
        case IngestSpec() as spec:
            return f"{spec.builtin or f'{spec.format} upload'} → {spec.dataset}"
        case CollectGarbageSpec() as spec:
            return "garbage collection, dry run" if spec.dry_run else "garbage collection"
        case RebuildSpec():
            return "rebuild from stored files"
    return job.kind.value.lower()


def outcome(job: Job) -> str:
    """What it made or why it failed; while it runs, how far it is."""
    match job.result:
        case TrainResult() as made:
            parts = [
                f"{made.model}:{made.version}",
                f"validation accuracy {percent(made.validation_accuracy)}",
            ]
            if made.test_accuracy is not None:
                parts.append(f"test accuracy {percent(made.test_accuracy)}")
            return " · ".join([*parts, *_took(job)])
        case IngestResult(dataset=dataset):
            return " · ".join([dataset, *_took(job)])
        case CollectGarbageResult() as found:
            is_dry = isinstance(job.spec, CollectGarbageSpec) and job.spec.dry_run
            verb = "would delete" if is_dry else "deleted"
            return f"{verb} {found.blobs:,} files, {size(found.bytes)}; kept {found.kept:,}"
        case RebuildResult() as rebuilt:
            back = f"{rebuilt.model_versions:,} model versions and {rebuilt.datasets:,} datasets"
            return "; ".join([f"{back} are back", *rebuilt.problems])
    if job.error is not None:
        return job.error.message
    if job.queue_position:
        return f"number {job.queue_position} in the queue"
    progress = job.progress
    if job.state is not JobState.RUNNING or progress is None:
        return "cancelling" if job.cancel_requested and not job.state.is_final else ""
    where = f"epoch {progress.epoch}/{progress.epochs}" if progress.epochs else progress.phase
    share = f"{100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return " · ".join(filter(None, [where, share, "cancelling" if job.cancel_requested else ""]))


def _took(job: Job) -> list[str]:
    if job.start_time is None or job.end_time is None:
        return []
    return [duration((job.end_time - job.start_time).total_seconds())]
