"""`python -m convnest_worker.serving`: serves one model version until told to stop.

It takes whatever waits, up to its batch limit, in one round trip: batches grow with load, and
there is no timer. An image that brings this process down comes back alone to the next one.
"""

import os
import time
from collections import defaultdict
from pathlib import Path

import structlog
from convnest_core import CoreError, keep_freed_memory, single_blas_thread
from convnest_process.logs import configure_logs
from convnest_process.outage import OutageLog
from convnest_store.blobs import blob_store
from convnest_store.connection import connect
from convnest_store.errors import LeaseLost, StoreError, Unavailable
from convnest_store.inference import InferenceQueue, Reply, Request, model_key
from convnest_store.registry import ModelVersion

from convnest_worker.channel import Channel
from convnest_worker.serving.model import ServedModel

_BATCH_BYTES = 64 * 2**20
_WAIT_S = 1.0
_RETRY_S = 0.2

log = structlog.get_logger(__name__)


def main() -> None:
    """Loads, serves, stops."""
    channel = Channel.adopt()
    begin = channel.receive_first()
    configure_logs("info", "json")
    single_blas_thread()
    keep_freed_memory()
    version = ModelVersion.read(begin["manifest"])
    try:
        blobs = blob_store(begin["blob_url"], cache_dir=Path(begin["scratch"]) / "blobs")
        model = ServedModel(version, blobs, max_batch=int(begin["batch"]))
    except (StoreError, CoreError) as error:
        channel.send({"failed": str(error)})
        os._exit(0)
    channel.send({"ready": True})
    with connect(begin["queue_url"], decode=False, timeout_s=_WAIT_S + 4) as client:
        _serve(channel, InferenceQueue(client), model, version, begin)
    os._exit(0)


def _serve(
    channel: Channel,
    queue: InferenceQueue,
    model: ServedModel,
    version: ModelVersion,
    begin: dict[str, str | int],
) -> None:
    instance, batch = str(begin["instance"]), int(begin["batch"])
    name = model_key(version.model, version.version)
    images, told = 0, time.monotonic()
    redis = OutageLog(log, "queue Redis")
    while not channel.wish:
        try:
            _, items = queue.take(
                name, instance, max_requests=batch, max_bytes=_BATCH_BYTES, timeout_s=_WAIT_S
            )
            redis.back()
            if items:
                requests = [Request.unpack(item) for item in items]
                _send(queue, instance, requests, model.answer(requests))
                images += len(items)
        except Unavailable as error:
            # What was in flight comes again: from there, or from its server, which still holds it.
            redis.away(error)
            time.sleep(_RETRY_S)
        except LeaseLost as error:
            # A restart of Redis forgot us until our worker's next beat, or another one took over.
            log.info("waits for its slot", error=str(error))
            time.sleep(_RETRY_S)
        if time.monotonic() - told > _WAIT_S:
            # Also where there were none: this is the sign of life.
            channel.send({"images": images})
            images, told = 0, time.monotonic()


def _send(
    queue: InferenceQueue, instance: str, requests: list[Request], replies: list[Reply]
) -> None:
    by_server: dict[bytes, list[Reply]] = defaultdict(list)
    for request, reply in zip(requests, replies, strict=True):
        by_server[request.server].append(reply)
    queue.answer(instance, by_server)


if __name__ == "__main__":
    main()
