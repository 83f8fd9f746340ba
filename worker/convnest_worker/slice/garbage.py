"""A garbage collection: blobs that nothing points to are deleted."""

import re
import time
from collections.abc import Iterator

from convnest_store.catalog import DatasetCatalog
from convnest_store.connection import connect
from convnest_store.jobs import JobStore
from convnest_store.paging import every
from convnest_store.registry import ModelRegistry, aliases_key

from convnest_worker.channel import Message
from convnest_worker.slice.context import Context
from convnest_worker.slice.pace import Pace

#: The part of a key that names the attempt that wrote it.
_ATTEMPT = re.compile(r"/(?P<job>[0-9a-z]{15})-\d+/")


def run_collect_garbage(context: Context) -> Message:
    """Deletes unreferenced blobs of at least the given age; returns counts. Raises Stopped."""
    spec = context.spec
    # In this order nothing is missed: a blob listed before its job ended is either the job's,
    # while that is active, or already pointed to when the pointers are read.
    found = list(context.blobs.list())
    with connect(context.state_url, decode=True) as client:
        jobs = JobStore(client)
        active = jobs.active_ids()
        kept = set(_pointed_to(DatasetCatalog(client), ModelRegistry(client)))
        for job_id in active:
            upload = jobs.get(job_id).spec.get("upload")
            if upload:
                kept.add(upload["key"])
    oldest_kept = time.time() - spec["min_age_s"]
    pace = Pace(context, "collecting")
    blobs = size = 0
    for index, info in enumerate(found):
        pace.at(index, len(found))
        attempt = _ATTEMPT.search(info.key)
        in_use = info.key in kept or (attempt is not None and attempt["job"] in active)
        if in_use or info.modified_s > oldest_kept:
            continue
        if not spec["dry_run"]:
            context.blobs.delete(info.key)
        blobs, size = blobs + 1, size + info.size_bytes
    if not spec["dry_run"]:
        context.blobs.sweep_aside(older_than_s=max(spec["min_age_s"], 60))
    return {
        "publish": None,
        "result": {"blobs": blobs, "bytes": size, "kept": len(found) - blobs},
    }


def _pointed_to(datasets: DatasetCatalog, models: ModelRegistry) -> Iterator[str]:
    for record in every(datasets.list, lambda record: record.name):
        yield record.blob.key
        yield record.manifest_key
    for model in every(models.list, lambda model: model.name):
        yield aliases_key(model.name)
        for number in model.versions:
            version = models.version(model.name, number)
            if version is not None:
                yield version.weights.key
                yield version.manifest_key
