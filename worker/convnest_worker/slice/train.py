"""A training job: load, train, save now and then, publish."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convnest_core import fingerprint
from convnest_store.blobs import Blob
from convnest_store.catalog import DatasetRecord
from convnest_store.datasets import Dataset
from convnest_store.errors import BlobCorrupt, BlobMissing, FailedPrecondition, QuotaExceeded
from convnest_store.registry import ModelVersion
from safetensors.numpy import save_file

from convnest_worker.channel import Message, Stopped
from convnest_worker.checkpoint import differences, read_checkpoint, write_checkpoint
from convnest_worker.slice.context import Context
from convnest_worker.training import Trained, TrainingState, train


def run_train(context: Context) -> Message:
    """Trains to the end and stores the weights; returns what is to be published.

    Raises Stopped, and InvalidInput or CoreError where the spec or the data are at fault.
    """
    context.channel.event("progress", {"phase": "loading"})
    record = DatasetRecord.read(context.inputs["dataset"], created_ms=0)
    if record.digest != context.spec["dataset_digest"]:
        raise FailedPrecondition(
            f"dataset {record.name} is {record.digest} now; "
            f"the job was accepted for {context.spec['dataset_digest']}"
        )
    with context.blobs.open(record.blob) as path:
        data = Dataset.load(path)
    trained = train(context.spec, data, state=_latest_state(context), control=_Saving(context))
    return _store(context, trained, data, record)


def _latest_state(context: Context) -> TrainingState | None:
    """The newest checkpoint that can be read, or None to begin at the beginning."""
    for checkpoint in context.inputs["checkpoints"]:
        try:
            with context.blobs.open(Blob(**checkpoint["blob"])) as path:
                state = read_checkpoint(path)
                _tell_differences(context, path)
                return state
        except (BlobCorrupt, BlobMissing) as error:
            text = f"checkpoint of epoch {checkpoint['epoch']} cannot be used: {error}"
            context.channel.event("log", {"level": "warning", "text": text})
    return None


def _tell_differences(context: Context, path: Path) -> None:
    """Who compares this training with another has to know that its bits are no longer equal."""
    changed = [f"{name}: {was} → {now}" for name, (was, now) in differences(path).items()]
    if changed:
        text = f"goes on with other arithmetic, no longer bit-exact ({'; '.join(changed)})"
        context.channel.event("log", {"level": "warning", "text": text})


class _Saving:
    """Saves by time and by wish; stops by wish."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._saved_at = time.monotonic()

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self._context.channel.event(kind, data)

    def between_batches(self, state: Callable[[], TrainingState]) -> None:
        wish = self._context.channel.wish
        if wish == "cancel":
            raise Stopped
        interval_s = self._context.spec["checkpoint_interval_s"]
        if wish or time.monotonic() - self._saved_at >= interval_s:
            self._save(state())
            # From now, so that writing slowly does not mean to write all the time.
            self._saved_at = time.monotonic()
            self._context.channel.checkpoint_written()
        if wish == "stop":
            raise Stopped

    def _save(self, state: TrainingState) -> None:
        try:
            self._put(state)
        except QuotaExceeded as error:
            # What was computed is worth more than the next place to go on from.
            text = f"no checkpoint written: {error}"
            self._context.channel.event("log", {"level": "warning", "text": text})

    def _put(self, state: TrainingState) -> None:
        context = self._context
        key = context.key("checkpoints", f"{state.epoch}-{state.batch}.safetensors")
        with context.scratch("checkpoint.safetensors") as path:
            write_checkpoint(state, path)
            blob = context.blobs.put_file(key, path)
        context.channel.send(
            {"checkpoint": {"blob": vars(blob), "epoch": state.epoch + 1, "batch": state.batch}}
        )


def _store(context: Context, trained: Trained, data: Dataset, record: DatasetRecord) -> Message:
    spec = context.spec
    model = spec["model"]
    version, now_ms = context.channel.ask("reserve_version", model)
    folder = f"models/{model}/{version}"
    with context.scratch("weights.safetensors") as path:
        save_file(trained.model, path)
        weights = context.blobs.put_file(context.key(folder, "weights.safetensors"), path)
    manifest_key = context.key(folder, "manifest.json")
    manifest = ModelVersion(
        model=model,
        version=version,
        job_id=context.job_id,
        network=spec["network"],
        classes=data.classes,
        preprocessing=trained.preprocessing,
        parameters=trained.parameters,
        weights=weights,
        dataset=record.name,
        dataset_digest=record.digest,
        spec=spec,
        epoch=trained.epoch,
        history=tuple(trained.history),
        by_class=tuple(trained.validation.by_class(data.classes)),
        test_accuracy=trained.test_accuracy,
        fingerprint=fingerprint(),
        manifest_key=manifest_key,
        created_ms=now_ms,
    ).dump()
    context.blobs.put_bytes(manifest_key, json.dumps(manifest, indent=1).encode())
    return {
        "publish": "model",
        "record": manifest,
        "result": {
            "model": model,
            "version": version,
            "weights_digest": weights.digest,
            "epoch": trained.epoch,
            "validation_accuracy": trained.validation.accuracy,
            "test_accuracy": trained.test_accuracy,
        },
    }
