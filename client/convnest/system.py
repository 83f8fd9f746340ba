"""The state of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convnest_api.v1 import system_pb2


@dataclass(frozen=True)
class RedisStatus:
    """One of the two Redis roles, "state" or "queue"."""

    role: str
    available: bool
    version: str
    used_memory_bytes: int
    problem: str


@dataclass(frozen=True)
class ModelInstance:
    """A model version in a worker's memory; `state` is LOADING, READY or UNAVAILABLE."""

    model: str
    version: int
    state: str
    reason: str
    resident_bytes: int
    images: int


@dataclass(frozen=True)
class WorkerStatus:
    """A worker that gave a sign of life in the last seconds.

    preparing: what it does before it takes work. warning: what it cannot do as well as it should.
    """

    name: str
    job_id: str
    models: tuple[ModelInstance, ...]
    fingerprint: Mapping[str, str]
    uptime_s: float
    preparing: str = ""
    warning: str = ""


@dataclass(frozen=True)
class QueueStatus:
    """Images that wait for one model version."""

    model: str
    version: int
    waiting: int
    waiting_bytes: int


@dataclass(frozen=True)
class Status:
    """What works and what is busy; `jobs` counts by state name."""

    version: str
    redis: tuple[RedisStatus, ...]
    workers: tuple[WorkerStatus, ...]
    jobs: Mapping[str, int]
    queues: tuple[QueueStatus, ...]


def status_from_proto(message: system_pb2.GetStatusResponse) -> Status:
    return Status(
        version=message.version,
        redis=tuple(
            RedisStatus(one.role, one.available, one.version, one.used_memory_bytes, one.problem)
            for one in message.redis
        ),
        workers=tuple(_worker(worker) for worker in message.workers),
        jobs=dict(message.jobs),
        queues=tuple(
            QueueStatus(one.model, one.version, one.waiting, one.waiting_bytes)
            for one in message.queues
        ),
    )


def _worker(message: system_pb2.WorkerStatus) -> WorkerStatus:
    return WorkerStatus(
        name=message.name,
        job_id=message.job_id,
        models=tuple(
            ModelInstance(
                one.model, one.version, one.state, one.reason, one.resident_bytes, one.images
            )
            for one in message.models
        ),
        fingerprint=dict(sorted(message.fingerprint.items())),
        uptime_s=message.uptime_s,
        preparing=message.preparing,
        warning=message.warning,
    )
