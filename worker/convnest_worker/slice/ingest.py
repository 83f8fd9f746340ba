"""An ingest job: an upload or a built-in source becomes a dataset."""

import json

from convnest_store.blobs import Blob
from convnest_store.builtin import builtin
from convnest_store.catalog import DatasetRecord
from convnest_store.datasets import Dataset
from convnest_store.images import ImageShape
from convnest_store.ingest import read_dataset

from convnest_worker.channel import Message
from convnest_worker.slice.context import Context
from convnest_worker.slice.pace import Pace


def run_ingest(context: Context) -> Message:
    """Reads, checks and stores the dataset; returns what is to be published.

    Raises DatasetRejected or ImageRejected where the file is at fault, and Stopped.
    """
    spec = context.spec
    dataset = builtin(spec["builtin"]) if spec["builtin"] else _read_upload(context)
    summary = dataset.summary()
    folder = f"datasets/{spec['dataset']}"
    with context.scratch("data.safetensors") as path:
        dataset.save(path)
        blob = context.blobs.put_file(context.key(folder, "data.safetensors"), path)
    record = DatasetRecord(
        name=spec["dataset"],
        digest=summary.digest,
        blob=blob,
        shape=summary.shape,
        classes=summary.classes,
        train_counts=summary.counts,
        test_counts=summary.test_counts,
        source=f"builtin:{spec['builtin']}" if spec["builtin"] else f"upload:{spec['format']}",
        job_id=context.job_id,
        manifest_key=context.key(folder, "manifest.json"),
    ).dump()
    context.blobs.put_bytes(record["manifest_key"], json.dumps(record, indent=1).encode())
    return {
        "publish": "dataset",
        "record": record,
        "result": {"dataset": spec["dataset"], "digest": summary.digest},
    }


def _read_upload(context: Context) -> Dataset:
    spec = context.spec
    pace = Pace(context, "reading images")
    with context.blobs.open(Blob(**spec["upload"])) as path:
        return read_dataset(
            path,
            format=spec["format"],
            shape=ImageShape.parse(spec["shape"]) if spec["shape"] else None,
            on_progress=pace.at,
        )
