"""SystemService."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from convnest_api.v1 import system_pb2, system_pb2_grpc
from convnest_process.broker import JobHints
from convnest_store.errors import Unavailable
from convnest_store.inference import InferenceQueue, QueueLength
from convnest_store.jobs import Job, JobStore, Json, NewJob
from convnest_store.redis_info import RedisInfo
from convnest_store.states import JobKind, JobState
from convnest_store.workers import WorkerPresence, WorkerRoll

from convnest_server import convert
from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Violation
from convnest_server.interceptor import Context

T = TypeVar("T")
_DEFAULT_MIN_AGE_S = 3600.0


class SystemServicer(system_pb2_grpc.SystemServiceServicer):
    """See system.proto."""

    def __init__(
        self,
        *,
        version: str,
        jobs: JobStore,
        queue: InferenceQueue,
        workers: WorkerRoll,
        redis: Mapping[str, RedisInfo],
        hints: JobHints,
        blocking: Blocking,
    ) -> None:
        self._version, self._jobs, self._queue, self._workers = version, jobs, queue, workers
        self._redis, self._hints, self._blocking = redis, hints, blocking

    async def GetStatus(  # noqa: N802
        self, _request: system_pb2.GetStatusRequest, _context: Context
    ) -> system_pb2.GetStatusResponse:
        # At once: each that does not answer takes its time to be found out.
        roles = await asyncio.gather(
            *(self._blocking.run(self._role, role, info) for role, info in self._redis.items())
        )
        return await self._blocking.run(self._status, roles)

    def _status(self, roles: Sequence[system_pb2.RedisStatus]) -> system_pb2.GetStatusResponse:
        up = {role.role for role in roles if role.available}
        jobs: dict[JobState, int] = _or(self._jobs.counts, {}) if "state" in up else {}
        workers: Sequence[WorkerPresence] = []
        queues: Sequence[QueueLength] = []
        if "queue" in up:
            workers, queues = _or(self._workers.present, []), _or(self._queue.lengths, [])
        return system_pb2.GetStatusResponse(
            version=self._version,
            redis=roles,
            workers=[_worker(worker) for worker in workers],
            jobs={state.value: count for state, count in jobs.items()},
            queues=[_queue(length) for length in queues],
        )

    def _role(self, role: str, info: RedisInfo) -> system_pb2.RedisStatus:
        try:
            facts = info.read()
        except Unavailable as error:
            return system_pb2.RedisStatus(role=role, available=False, problem=str(error))
        return system_pb2.RedisStatus(
            role=role,
            available=True,
            version=facts.version,
            used_memory_bytes=facts.used_memory_bytes,
        )

    async def CollectGarbage(  # noqa: N802
        self, request: system_pb2.CollectGarbageRequest, _context: Context
    ) -> system_pb2.CollectGarbageResponse:
        asked = request.spec
        age_s = asked.min_age_s if asked.HasField("min_age_s") else _DEFAULT_MIN_AGE_S
        if not 0 <= age_s <= 10 * 365 * 86400:
            message = f"must be ≥ 0 and at most ten years, got {age_s:g}"
            raise InvalidRequest([Violation("spec.min_age_s", message)])
        spec = {"dry_run": asked.dry_run, "min_age_s": age_s}
        job = await self._blocking.run(self._create, JobKind.COLLECT_GARBAGE, spec)
        return system_pb2.CollectGarbageResponse(job=convert.job(job))

    async def Rebuild(  # noqa: N802
        self, _request: system_pb2.RebuildRequest, _context: Context
    ) -> system_pb2.RebuildResponse:
        job = await self._blocking.run(self._create, JobKind.REBUILD, {})
        return system_pb2.RebuildResponse(job=convert.job(job))

    def _create(self, kind: JobKind, spec: Json) -> Job:
        job, _ = self._jobs.create(NewJob(kind, spec))
        self._hints.send()
        return job


def _or(read: Callable[[], T], otherwise: T) -> T:
    """A status is told as far as it is known."""
    try:
        return read()
    except Unavailable:
        return otherwise


def _worker(worker: WorkerPresence) -> system_pb2.WorkerStatus:
    return system_pb2.WorkerStatus(
        name=worker.name,
        job_id=worker.job_id,
        models=[
            system_pb2.ModelInstance(
                model=model.model,
                version=model.version,
                state=model.state,
                reason=model.reason,
                resident_bytes=model.resident_bytes,
                images=model.images,
            )
            for model in worker.models
        ],
        fingerprint=worker.fingerprint,
        uptime_s=worker.uptime_s,
        preparing=worker.preparing,
        warning=worker.warning,
    )


def _queue(length: QueueLength) -> system_pb2.QueueStatus:
    model, _, version = length.model.rpartition(":")
    return system_pb2.QueueStatus(
        model=model,
        version=int(version),
        waiting=length.requests,
        waiting_bytes=length.size_bytes,
    )
