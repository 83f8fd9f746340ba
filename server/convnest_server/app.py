"""Wires the server together."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import grpc
import structlog
from convnest_process.broker import JobHints, make_celery
from convnest_store.blobs import blob_store
from convnest_store.catalog import DatasetCatalog
from convnest_store.connection import connect
from convnest_store.events import EventReader
from convnest_store.inference import InferenceQueue, QueueLimits
from convnest_store.jobs import JobStore
from convnest_store.redis_info import RedisInfo
from convnest_store.registry import ModelRegistry
from convnest_store.workers import WorkerRoll
from grpc_health.v1 import health

from convnest_server.blocking import Blocking
from convnest_server.dispatcher import RECEIVING_TIMEOUT_S, Dispatcher
from convnest_server.interceptor import ErrorInterceptor
from convnest_server.readiness import Readiness
from convnest_server.resolver import ModelResolver
from convnest_server.services.classification import ClassificationServicer
from convnest_server.services.datasets import DatasetServicer
from convnest_server.services.models import ModelServicer
from convnest_server.services.system import SystemServicer
from convnest_server.services.training import TrainingServicer
from convnest_server.servicing import Servicers
from convnest_server.settings import ServerSettings
from convnest_server.uploads import Uploads
from convnest_server.watch import Watcher

#: The connection that waits for events does so for a quarter of a second at a time.
_TAILING_TIMEOUT_S = 1.5

log = structlog.get_logger(__name__)


async def serve(settings: ServerSettings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set. Raises OSError where the address cannot be bound."""
    with _wired(settings) as parts:
        server = grpc.aio.server(
            interceptors=[ErrorInterceptor()],
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
            ],
        )
        parts.servicers.add_to(server)
        address = _bind(server, settings.listen)
        await server.start()
        await parts.readiness.look()
        looking = asyncio.create_task(parts.readiness.run())
        if settings.address_file is not None:
            _write_aside(settings.address_file, address)
        log.info("serving", address=address)
        await stop.wait()
        log.info("stopping")
        looking.cancel()
        await parts.servicers.health.enter_graceful_shutdown()
        await server.stop(settings.stop_grace_s)


@dataclass(frozen=True)
class _Parts:
    servicers: Servicers
    readiness: Readiness


@contextmanager
def _wired(settings: ServerSettings) -> Iterator[_Parts]:
    """Every part with its collaborators; connections and threads end with the block."""
    with ExitStack() as stack:
        state = stack.enter_context(connect(settings.state_url, decode=True))
        queue = stack.enter_context(connect(settings.queue_url, decode=False))
        tailing = stack.enter_context(
            connect(settings.state_url, decode=True, timeout_s=_TAILING_TIMEOUT_S)
        )
        receiving = stack.enter_context(
            connect(settings.queue_url, decode=False, timeout_s=RECEIVING_TIMEOUT_S)
        )
        blocking = Blocking(threads=settings.blocking_threads, waiting=settings.blocking_waiting)
        stack.callback(blocking.close)
        jobs, datasets, models = JobStore(state), DatasetCatalog(state), ModelRegistry(state)
        watcher = Watcher(
            jobs=jobs, events=EventReader(state), waiting=EventReader(tailing), blocking=blocking
        )
        stack.callback(watcher.close)
        dispatcher = Dispatcher(
            sender=InferenceQueue(queue),
            receiver=InferenceQueue(receiving),
            limits=QueueLimits(settings.queue_requests, settings.queue_bytes),
            max_pending=settings.pending_requests,
            max_pending_bytes=settings.pending_bytes,
        )
        stack.callback(dispatcher.close)
        blobs = blob_store(settings.blob_url, cache_dir=settings.runtime_dir / "blobs")
        hints = JobHints(make_celery(settings.queue_url))
        resolver = ModelResolver(models, blocking)
        workers = WorkerRoll(queue)
        redis = {"state": RedisInfo(state, "state"), "queue": RedisInfo(queue, "queue")}
        servicers = Servicers(
            training=TrainingServicer(
                jobs=jobs,
                datasets=datasets,
                blobs=blobs,
                hints=hints,
                watcher=watcher,
                blocking=blocking,
            ),
            datasets=DatasetServicer(
                jobs=jobs,
                datasets=datasets,
                blobs=blobs,
                uploads=Uploads(
                    blobs=blobs,
                    blocking=blocking,
                    scratch=settings.runtime_dir,
                    max_bytes=settings.max_upload_bytes,
                    at_a_time=settings.max_uploads,
                ),
                hints=hints,
                blocking=blocking,
            ),
            models=ModelServicer(models=models, blobs=blobs, resolver=resolver, blocking=blocking),
            classification=ClassificationServicer(
                resolver=resolver, dispatcher=dispatcher, timeout_s=settings.classify_timeout_s
            ),
            system=SystemServicer(
                version=version("convnest"),
                jobs=jobs,
                queue=InferenceQueue(queue),
                workers=workers,
                redis=redis,
                hints=hints,
                blocking=blocking,
            ),
            health=health.aio.HealthServicer(),
        )
        readiness = Readiness(
            servicers.health,
            state=redis["state"],
            queue=redis["queue"],
            workers=workers,
            blocking=blocking,
        )
        yield _Parts(servicers, readiness)


def _bind(server: grpc.aio.Server, listen: str) -> str:
    host, _, _ = listen.rpartition(":")
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {listen}: the address is taken or not ours") from error
    return f"{host}:{port}"


def _write_aside(path: Path, text: str) -> None:
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(text, encoding="ascii")
    aside.replace(path)
