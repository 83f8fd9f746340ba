"""Health that tells the truth, service by service, looked at once a second."""

import asyncio
from collections.abc import Callable

import structlog
from convnest_store.errors import Unavailable
from convnest_store.redis_info import RedisInfo
from convnest_store.workers import WorkerRoll
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from convnest_server.blocking import Blocking
from convnest_server.errors import Overloaded

_EVERY_S = 1.0
_API = "convnest_api.v1."
#: Jobs may queue without a worker: these need only the state Redis.
RECORDS = tuple(
    f"{_API}{name}"
    for name in ("DatasetService", "ModelService", "SystemService", "TrainingService")
)
CLASSIFICATION = f"{_API}ClassificationService"
WORKER = "convnest.worker"

log = structlog.get_logger(__name__)


class Readiness:
    """Sets the health of every service."""

    def __init__(
        self,
        health: aio.HealthServicer,
        *,
        state: RedisInfo,
        queue: RedisInfo,
        workers: WorkerRoll,
        blocking: Blocking,
    ) -> None:
        self._health, self._blocking = health, blocking
        self._state, self._queue, self._workers = state, queue, workers
        self._told: dict[str, bool] = {}

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Looks once."""
        try:
            state, queue, worker = await asyncio.gather(
                self._answers(self._state.ping),
                self._answers(self._queue.ping),
                self._answers(self._need_worker),
            )
        except Overloaded as error:
            # Busy is not unready; the next look will tell.
            log.warning("no time to look", error=str(error))
            return
        await self._set("", state and queue)
        for service in RECORDS:
            await self._set(service, state)
        await self._set(CLASSIFICATION, state and queue and worker)
        await self._set(WORKER, worker)

    def _need_worker(self) -> None:
        if not self._workers.anyone():
            raise Unavailable("no worker gave a sign of life")

    async def _answers(self, look: Callable[[], None]) -> bool:
        try:
            await self._blocking.run(look)
        except Unavailable:
            return False
        return True

    async def _set(self, service: str, ready: bool, /) -> None:
        if self._told.get(service) != ready:
            self._told[service] = ready
            log.info("readiness", service=service or "all", ready=ready)
            status = health_pb2.HealthCheckResponse
            await self._health.set(service, status.SERVING if ready else status.NOT_SERVING)
