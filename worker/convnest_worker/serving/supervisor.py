"""Keeps one process per wanted model version: claims, loads, restarts, returns, unloads.

Nothing here waits for a process: one that is asked to go leaves over several ticks, and all the
while the slots of the others are renewed.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from convnest_process.outage import OutageLog
from convnest_store.errors import NotFound, Unavailable
from convnest_store.inference import InferenceQueue, Status
from convnest_store.registry import ModelReference, ModelRegistry, ModelVersion
from convnest_store.workers import ModelPresence

from convnest_worker.child import Message, describe_exit
from convnest_worker.memory import memory_bytes
from convnest_worker.serving.instance import Instance, new_name
from convnest_worker.settings import WorkerSettings

_TICK_S = 0.5
#: Between two ticks at least, however often it is woken.
_PAUSE_S = 0.02
_STOP_S = 3.0
_MAX_BACK_OFF_S = 30.0
#: A Python process with NumPy and LLVM's code, before it has a model.
_PROCESS_BYTES = 110 * 2**20

log = structlog.get_logger(__name__)


@dataclass
class _Trouble:
    """Why a model version is not served now, and when to try again."""

    version: ModelVersion
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
        self._leaving: list[Instance] = []
        self._trouble: dict[str, _Trouble] = {}
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="serving-wake", daemon=True)

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()
        self._listener.start()

    def begin_stop(self) -> None:
        """Each process finishes its batch, what is left is returned, slots are given back."""
        self._stopping.set()
        self._wake.set()

    def stop(self) -> None:
        """Waits until that is done."""
        self.begin_stop()
        self._thread.join(timeout=_STOP_S + 2)

    def presence(self) -> Sequence[ModelPresence]:
        """What is in memory, and what cannot be."""
        troubled = [
            ModelPresence(t.version.model, t.version.version, "UNAVAILABLE", t.reason, 0, 0)
            for key, t in list(self._trouble.items())
            if key not in self._instances
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
        redis = OutageLog(log, "Redis for serving")
        while not self._stopping.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            try:
                self._tick()
                redis.back()
            except Unavailable as error:
                redis.away(error)
                self._stopping.wait(_TICK_S)
            except Exception:  # the edge of the thread: the other models go on
                log.exception("serving stumbled")
                self._stopping.wait(_TICK_S)
            self._stopping.wait(_PAUSE_S)
        self._leave()

    def _tick(self) -> None:
        self._look_after_processes()
        self._beat()
        for name, key in self._queue.find_lost().items():
            returned, refused = self._queue.return_flight(key, name, "lost")
            log.warning("requests of a lost worker returned", returned=returned, refused=refused)
        self._load_wanted()
        self._tidy()

    def _look_after_processes(self) -> None:
        now = time.monotonic()
        for instance in [*self._instances.values(), *self._leaving]:
            instance.read_messages()
            if instance.ended:
                self._bury(instance)
            elif now > instance.kill_at:
                instance.child.kill()
            elif instance.silent_for_s > self._patience_s(instance):
                log.warning("model process hangs; it is ended", model=instance.key)
                instance.child.kill()
            elif instance.images:
                self._trouble.pop(instance.key, None)

    def _patience_s(self, instance: Instance) -> float:
        settings = self._settings
        return settings.serving_stall_s if instance.state == "READY" else settings.stall_s

    def _beat(self) -> None:
        held = {
            instance.name: instance
            for instance in [*self._instances.values(), *self._leaving]
            if not instance.slot_lost
        }
        lost = self._queue.beat_slots(
            {name: instance.key for name, instance in held.items()},
            slots=self._settings.serving_instances,
            lease_s=self._settings.serving_lease_s,
        )
        for name in lost:
            log.warning("slot lost to another worker", instance=name)
            held[name].slot_lost = True
            self._unload(held[name])

    def _load_wanted(self) -> None:
        wanted = self._queue.wanted(
            slots=self._settings.serving_instances, since_s=self._settings.serving_idle_s
        )
        busy = {*self._instances, *(instance.key for instance in self._leaving)}
        for key in wanted:
            trouble = self._trouble.get(key)
            if key not in busy and (trouble is None or time.monotonic() >= trouble.retry_at):
                self._load(key)

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
        try:
            instance = Instance.start(version, key, name, begin, on_message=self._wake.set)
        except OSError as error:
            self._back_off(key, version, f"no process could be started: {error}")
            self._queue.return_flight(key, name, "lost")
            return
        self._instances[key] = instance
        log.info("model loading", model=key, pid=instance.child.pid)

    def _make_room(self, key: str, version: ModelVersion) -> bool:
        """Whether the model should fit now; unloads the least recently used until it will."""
        needed = _needed_bytes(version)
        if needed > self._budget:
            reason = f"{key} needs about {needed:,} bytes; models may use {self._budget:,} here"
            self._give_up(key, version, reason)
            return False
        while self._instances and self._used_bytes() + needed > self._budget:
            oldest = min(self._instances.values(), key=lambda instance: instance.last_used)
            log.info("model unloaded to make room", model=oldest.key)
            self._unload(oldest)
        return not self._leaving

    def _used_bytes(self) -> int:
        return sum(
            max(instance.resident_bytes, _needed_bytes(instance.version))
            for instance in self._instances.values()
        )

    def _tidy(self) -> None:
        since = time.monotonic() - self._settings.serving_idle_s
        for instance in list(self._instances.values()):
            if instance.last_used < since:
                log.info("idle model unloaded", model=instance.key)
                self._unload(instance)
        for key, trouble in list(self._trouble.items()):
            if trouble.retry_at < since:
                del self._trouble[key]

    def _unload(self, instance: Instance) -> None:
        """Asks the process to go; it has a while for its batch."""
        if self._instances.get(instance.key) is instance:
            del self._instances[instance.key]
            self._leaving.append(instance)
            instance.kill_at = time.monotonic() + _STOP_S
            instance.child.send({"wish": "stop"})

    def _leave(self) -> None:
        """The end of the thread: all processes go."""
        for instance in list(self._instances.values()):
            self._unload(instance)
        while self._leaving:
            self._wake.wait(0.1)
            self._wake.clear()
            try:
                self._look_after_processes()
            except Unavailable as error:
                log.info("slots left to run out", error=str(error))

    def _bury(self, instance: Instance) -> None:
        """The end of a process. Where Redis is away, another worker will find what is left."""
        code = instance.child.wait()
        if instance in self._leaving:
            self._leaving.remove(instance)
            self._queue.return_flight(instance.key, instance.name, "lost")
            return
        key, how = instance.key, describe_exit(code)
        del self._instances[key]
        if instance.failure:
            self._back_off(key, instance.version, instance.failure)
            self._queue.return_flight(key, instance.name, "lost")
            self._queue.refuse_all(key, Status.UNAVAILABLE, instance.failure)
            log.warning("model cannot be served", model=key, reason=instance.failure)
            return
        reason = f"the model process ended with {how}"
        self._back_off(key, instance.version, reason)
        returned, refused = self._queue.return_flight(key, instance.name, "crashed")
        if refused:
            # The image was at fault and is gone: nothing speaks against the model.
            del self._trouble[key]
        log.warning(
            "model process died",
            model=key,
            how=how,
            returned=returned,
            refused=refused,
            stderr=instance.child.stderr_tail,
        )
        if instance.state == "LOADING" and self._trouble[key].times > 1:
            # Nobody should wait to the deadline for what does not even start.
            self._queue.refuse_all(key, Status.UNAVAILABLE, reason)

    def _give_up(self, key: str, version: ModelVersion, reason: str) -> None:
        log.warning("model cannot be served", model=key, reason=reason)
        self._back_off(key, version, reason)
        self._queue.refuse_all(key, Status.UNAVAILABLE, reason)

    def _back_off(self, key: str, version: ModelVersion, reason: str) -> None:
        """At once after a first crash, then later and later."""
        before = self._trouble.get(key)
        times = 1 if before is None else before.times + 1
        wait_s = 0.0 if times == 1 else min(0.5 * 2 ** (times - 2), _MAX_BACK_OFF_S)
        self._trouble[key] = _Trouble(version, reason, times, time.monotonic() + wait_s)


def _needed_bytes(version: ModelVersion) -> int:
    """What a model's process will about hold."""
    return _PROCESS_BYTES + 3 * version.weights.size_bytes
