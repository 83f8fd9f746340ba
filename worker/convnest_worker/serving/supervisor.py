"""Keeps one process per wanted model version: claims, loads, restarts, returns, unloads."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from convnest_store.errors import NotFound, Unavailable
from convnest_store.inference import InferenceQueue, Status
from convnest_store.registry import ModelReference, ModelRegistry, ModelVersion
from convnest_store.workers import ModelPresence

from convnest_worker.child import Message, describe_exit
from convnest_worker.memory import memory_bytes
from convnest_worker.serving.instance import Instance, new_name
from convnest_worker.settings import WorkerSettings

_TICK_S = 0.5
_STOP_S = 3.0
_MAX_BACK_OFF_S = 30.0
#: A Python process with NumPy, before it has a model.
_PROCESS_BYTES = 80 * 2**20

log = structlog.get_logger(__name__)


@dataclass
class _Trouble:
    """Why a model version is not served now, and when to try again."""

    version: ModelVersion | None
    reason: str
    times: int
    retry_at: float


class ServingSupervisor:
    """A thread that serves what is asked for, within its memory, as long as the worker lives."""

    def __init__(
        self,
        *,
        queue: InferenceQueue,
        waker: InferenceQueue,
        models: ModelRegistry,
        settings: WorkerSettings,
    ) -> None:
        """waker: the queue over a connection of its own, for it blocks."""
        self._queue, self._waker, self._models, self._settings = queue, waker, models, settings
        self._budget = settings.serving_memory_bytes or memory_bytes() // 2
        self._instances: dict[str, Instance] = {}
        self._trouble: dict[str, _Trouble] = {}
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="serving-wake", daemon=True)

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()
        self._listener.start()

    def stop(self) -> None:
        """Lets each process finish its batch, returns what is left, gives the slots back."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=2)
        instances = list(self._instances.items())
        for _, instance in instances:
            instance.child.send({"wish": "stop"})
        deadline = time.monotonic() + _STOP_S
        for key, instance in instances:
            while not instance.ended and time.monotonic() < deadline:
                time.sleep(0.02)
                instance.read_messages()
            self._retire(key, instance)

    def presence(self) -> Sequence[ModelPresence]:
        """What is in memory, and what cannot be."""
        troubled = [
            ModelPresence(t.version.model, t.version.version, "UNAVAILABLE", t.reason, 0, 0)
            for key, t in list(self._trouble.items())
            if t.version is not None and key not in self._instances
        ]
        return [instance.presence() for instance in list(self._instances.values())] + troubled

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                self._waker.wait_for_wanted(timeout_s=2.0)
            except Unavailable as error:
                log.debug("queue Redis away", error=str(error))
                self._stopping.wait(_TICK_S)
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            try:
                self._tick()
            except Unavailable as error:
                log.warning("serving waits for Redis", error=str(error))
                self._stopping.wait(_TICK_S)

    def _tick(self) -> None:
        for key, instance in list(self._instances.items()):
            instance.read_messages()
            if instance.ended:
                self._bury(key, instance)
        held = {instance.name: key for key, instance in self._instances.items()}
        lost = self._queue.beat_slots(held, lease_s=self._settings.serving_lease_s)
        for name in lost:
            log.warning("slot lost to another worker", instance=name)
            self._unload(held[name])
        for name in self._queue.find_lost():
            returned, refused = self._queue.return_flight(name, "lost")
            log.warning("requests of a lost worker returned", returned=returned, refused=refused)
        for key in self._queue.wanted(
            slots=self._settings.serving_instances, since_s=self._settings.serving_idle_s
        ):
            trouble = self._trouble.get(key)
            if key not in self._instances and (
                trouble is None or time.monotonic() >= trouble.retry_at
            ):
                self._load(key)
        self._unload_idle()

    def _load(self, key: str) -> None:
        try:
            version = self._models.resolve(ModelReference.parse(key))
        except NotFound as error:
            self._queue.refuse_all(key, Status.UNAVAILABLE, str(error))
            return
        if not self._make_room(key, version):
            return
        name = new_name(self._settings.worker_name)
        if not self._queue.claim_slot(
            key,
            name,
            slots=self._settings.serving_instances,
            lease_s=self._settings.serving_lease_s,
        ):
            return
        begin: Message = {
            "queue_url": self._settings.queue_url,
            "blob_url": self._settings.blob_url,
            "scratch": str(self._settings.runtime_dir),
            "batch": self._settings.serving_batch,
        }
        self._instances[key] = Instance.start(version, name, begin, on_message=self._wake.set)
        log.info("model loading", model=key, pid=self._instances[key].child.pid)

    def _make_room(self, key: str, version: ModelVersion) -> bool:
        """Unloads the least recently used until the model should fit; False where it cannot."""
        needed = _PROCESS_BYTES + 3 * version.weights.size_bytes
        if needed > self._budget:
            reason = f"{key} needs about {needed:,} bytes; models may use {self._budget:,} here"
            self._give_up(key, version, reason)
            return False
        while self._instances and self._used_bytes() + needed > self._budget:
            oldest = min(self._instances, key=lambda k: self._instances[k].last_used)
            log.info("model unloaded to make room", model=oldest)
            self._unload(oldest)
        return True

    def _used_bytes(self) -> int:
        return sum(instance.resident_bytes for instance in self._instances.values())

    def _unload_idle(self) -> None:
        since = time.monotonic() - self._settings.serving_idle_s
        for key, instance in list(self._instances.items()):
            if instance.last_used < since:
                log.info("idle model unloaded", model=key)
                self._unload(key)

    def _unload(self, key: str) -> None:
        instance = self._instances[key]
        instance.child.send({"wish": "stop"})
        deadline = time.monotonic() + _STOP_S
        while not instance.ended and time.monotonic() < deadline:
            time.sleep(0.02)
            instance.read_messages()
        self._retire(key, instance)

    def _retire(self, key: str, instance: Instance) -> None:
        """The end of a process that was asked to go."""
        instance.child.kill()
        instance.child.wait()
        del self._instances[key]
        try:
            self._queue.release_slot(key, instance.name)
            self._queue.return_flight(instance.name, "lost")
        except Unavailable as error:
            log.info("slot left to run out", model=key, error=str(error))

    def _bury(self, key: str, instance: Instance) -> None:
        """The end of a process that was not asked to go."""
        code = instance.child.wait()
        del self._instances[key]
        self._queue.release_slot(key, instance.name)
        if instance.failure:
            self._queue.return_flight(instance.name, "lost")
            self._give_up(key, instance.version, instance.failure)
            return
        returned, refused = self._queue.return_flight(instance.name, "crashed")
        how = describe_exit(code)
        log.warning(
            "model process died",
            model=key,
            how=how,
            returned=returned,
            refused=refused,
            stderr=instance.child.stderr_tail,
        )
        if instance.state == "READY" and instance.images:
            self._trouble.pop(key, None)
        self._back_off(key, instance.version, f"the model process ended with {how}")

    def _give_up(self, key: str, version: ModelVersion, reason: str) -> None:
        log.warning("model cannot be served", model=key, reason=reason)
        self._queue.refuse_all(key, Status.UNAVAILABLE, reason)
        self._back_off(key, version, reason)

    def _back_off(self, key: str, version: ModelVersion, reason: str) -> None:
        """At once after a first crash, then later and later."""
        before = self._trouble.get(key)
        times = 1 if before is None else before.times + 1
        wait_s = 0.0 if times == 1 else min(0.5 * 2 ** (times - 2), _MAX_BACK_OFF_S)
        self._trouble[key] = _Trouble(version, reason, times, time.monotonic() + wait_s)
