"""Seeing one lease through: beats, wishes, events, checkpoints, and the one way it ends.

Only this supervisor beats the lease, and only while the slice gets on. While the state Redis is
away the slice goes on and what it tells waits here; losing the lease ends it at once.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from convnest_store.blobs import Blob, BlobStore
from convnest_store.catalog import DatasetCatalog
from convnest_store.errors import AlreadyExists, LeaseLost, StoreError, Unavailable
from convnest_store.jobs import Failure, Job, JobStore, Json, Lease
from convnest_store.scaffolding import remove_scaffolding
from convnest_store.states import JobKind, JobState, Wish

from convnest_worker.child import ChildProcess, Message, describe_exit
from convnest_worker.jobs.outbox import Outbox
from convnest_worker.memory import out_of_memory_kills
from convnest_worker.settings import WorkerSettings

_RETRY_S = 0.3
#: How long a worker that ends waits for a state Redis that is away.
_TELL_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stores:
    """What a supervisor reads and writes."""

    jobs: JobStore
    datasets: DatasetCatalog
    blobs: BlobStore


class _Abandoned(Exception):
    """The worker ends before the state Redis could be told."""


class Supervision:
    """One attempt at one job, from the claim to whatever ends it."""

    def __init__(
        self, lease: Lease, *, stores: Stores, settings: WorkerSettings, draining: threading.Event
    ) -> None:
        self._lease, self._stores, self._settings = lease, stores, settings
        self._draining = draining
        self._log = log.bind(job_id=lease.job.id, attempt=lease.job.attempt)
        self._outbox = Outbox(stores.jobs, lease)
        self._asked_to_stop = ""
        self._kill_at = math.inf
        self._last: Message = {}

    def run(self) -> None:
        """Returns when the attempt is over and told; raises nothing but what is unforeseen."""
        try:
            self._run()
        except LeaseLost as error:
            self._log.warning("lease lost; the attempt is over", error=str(error))
        except _Abandoned:
            self._log.warning("job not given back; its lease will run out")

    def _run(self) -> None:
        try:
            begin = self._begin()
        except StoreError as error:
            self._log.warning("job cannot begin", error=str(error))
            failure = Failure(error.reason, str(error))
            # An outage says nothing about the job.
            counts = not isinstance(error, Unavailable)
            self._until_taken(lambda: self._requeue("could not begin", failure, counts=counts))
            return
        kills_before = out_of_memory_kills()
        slice_ = ChildProcess("convnest_worker.slice", begin)
        self._log.info("slice started", pid=slice_.pid, kind=self._lease.job.kind)
        try:
            self._attend(slice_)
        except BaseException:
            # Without a supervisor, and maybe without the lease, it must not go on.
            slice_.kill()
            slice_.wait()
            raise
        code = slice_.wait()
        self._conclude(code, slice_.stderr_tail, killed=out_of_memory_kills() > kills_before)

    def _begin(self) -> Message:
        job, settings = self._lease.job, self._settings
        inputs: Json = {"checkpoints": list(job.checkpoints)}
        if job.kind is JobKind.TRAIN:
            inputs["dataset"] = self._stores.datasets.get(job.spec["dataset"]).dump()
        return {
            "kind": job.kind,
            "job_id": job.id,
            "attempt": job.attempt,
            "spec": job.spec,
            "inputs": inputs,
            "state_url": settings.state_url,
            "blob_url": settings.blob_url,
            "scratch": str(settings.runtime_dir),
            "niceness": settings.slice_niceness,
        }

    # While the slice runs.

    def _attend(self, slice_: ChildProcess) -> None:
        settings = self._settings
        started = moved_on = time.monotonic()
        next_beat = started + settings.beat_s
        while True:
            message = slice_.receive(min(next_beat - time.monotonic(), settings.beat_s))
            now = time.monotonic()
            if message == {}:
                return
            if message is not None:
                self._take(slice_, message)
                # Not before: taking may have waited for the state Redis.
                moved_on = now = time.monotonic()
            if now - moved_on > settings.stall_s:
                self._last = {"stalled": True}
                slice_.kill()
                moved_on = now
            if now > self._kill_at:
                slice_.kill()
            if self._draining.is_set():
                self._ask_to_stop(slice_, "stop", "worker stopping")
            if now >= next_beat:
                self._beat(slice_, ran_s=now - started)
                next_beat = time.monotonic() + settings.beat_s

    def _take(self, slice_: ChildProcess, message: Message) -> None:
        if "event" in message:
            self._outbox.event(message["event"], message["data"])
            self._outbox.flush_if_up()
        elif "checkpoint" in message:
            self._outbox.call(lambda: self._commit_checkpoint(message["checkpoint"]))
            self._outbox.flush_if_up()
        elif "ask" in message:
            self._until_taken(lambda: slice_.send({"answer": self._reserve(message["value"])}))
        elif "alive" not in message:
            self._last = message

    def _reserve(self, model: str) -> tuple[int, int]:
        return self._stores.jobs.reserve_version(self._lease, model)

    def _beat(self, slice_: ChildProcess, *, ran_s: float) -> None:
        if not self._outbox.flush():
            return
        try:
            beat = self._stores.jobs.beat(self._lease, lease_s=self._settings.lease_s)
        except Unavailable as error:
            self._log.warning("no heartbeat", error=str(error))
            return
        if beat.wish is Wish.CANCEL:
            self._ask_to_stop(slice_, "cancel", "cancelled")
        elif beat.wish is Wish.PAUSE:
            self._ask_to_stop(slice_, "stop", "paused")
        elif beat.wish is Wish.CHECKPOINT:
            slice_.send({"wish": "checkpoint"})
        elif ran_s > self._settings.slice_s and beat.waiting:
            self._ask_to_stop(slice_, "stop", "gave way to a waiting job")

    def _ask_to_stop(self, slice_: ChildProcess, wish: str, reason: str) -> None:
        if self._asked_to_stop == reason or self._asked_to_stop == "cancelled":
            return
        self._asked_to_stop = reason
        slice_.send({"wish": wish})
        if wish == "cancel" or self._draining.is_set():
            self._kill_at = time.monotonic() + self._settings.drain_s

    # What the state Redis is told.

    def _until_taken(self, tell: Callable[[], None]) -> None:
        """Tells it, after all that waits, however long the state Redis is away.

        Raises LeaseLost, and _Abandoned where the worker ends and cannot wait for that.
        """
        self._outbox.call(tell)
        give_up_at = math.inf
        while not self._outbox.flush():
            if self._draining.is_set():
                give_up_at = min(give_up_at, time.monotonic() + _TELL_S)
            if time.monotonic() > give_up_at:
                raise _Abandoned
            time.sleep(_RETRY_S)

    def _commit_checkpoint(self, checkpoint: Json) -> None:
        event = {
            "epoch": checkpoint["epoch"],
            "batch": checkpoint["batch"],
            "size_bytes": checkpoint["blob"]["size_bytes"],
        }
        unneeded = self._stores.jobs.commit_checkpoint(self._lease, checkpoint, event=event)
        if unneeded is not None:
            self._stores.blobs.delete(Blob(**unneeded["blob"]).key)

    # After it ended.

    def _conclude(self, code: int, stderr_tail: str, *, killed: bool) -> None:
        self._until_taken(lambda: self._tell_end(code, stderr_tail, killed=killed))
        if self._ended_for_good():
            self._remove_scaffolding(self._lease.job)

    def _tell_end(self, code: int, stderr_tail: str, *, killed: bool) -> None:
        jobs, lease, last = self._stores.jobs, self._lease, self._last
        if "done" in last:
            self._publish(last["done"])
        elif "failed" in last:
            failed = last["failed"]
            self._log.info("job failed", **failed)
            failure = Failure(failed["reason"], failed["message"], field=failed["field"])
            jobs.finish(lease, JobState.FAILED, reason="failed", failure=failure)
        elif "stopped" in last or math.isfinite(self._kill_at):
            # It gave way, or was ended because it did not do so in time.
            self._requeue(self._asked_to_stop, None, counts=False)
        else:
            failure = self._crash(code, stderr_tail, killed=killed)
            self._log.warning("slice died", reason=failure.reason, message=failure.message)
            self._requeue("slice died", failure, counts=True)

    def _publish(self, done: Message) -> None:
        jobs, lease = self._stores.jobs, self._lease
        try:
            if done["publish"] == "model":
                jobs.publish_model(lease, done["record"], result=done["result"])
            elif done["publish"] == "dataset":
                jobs.publish_dataset(lease, done["record"], result=done["result"])
            else:
                jobs.finish(lease, JobState.SUCCEEDED, result=done["result"])
        except AlreadyExists as error:
            jobs.finish(
                lease, JobState.FAILED, reason="failed", failure=Failure(error.reason, str(error))
            )
        self._log.info("job ended", result=done["result"])

    def _requeue(self, reason: str, failure: Failure | None, *, counts: bool) -> None:
        state = self._stores.jobs.requeue(
            self._lease, reason=reason, failure=failure, counts=counts
        )
        self._log.info("job given back", reason=reason, state=state)

    def _crash(self, code: int, stderr_tail: str, *, killed: bool) -> Failure:
        how = describe_exit(code)
        if "stalled" in self._last:
            reason, message = "STALLED", f"no progress for {self._settings.stall_s:g} s"
        elif killed and code == -9:
            reason = "OUT_OF_MEMORY"
            message = "the process was killed by the kernel: out of memory"
        else:
            reason, message = "SLICE_CRASHED", f"the process ended with {how}"
        last_line = stderr_tail.strip().rsplit("\n", 1)[-1]
        if last_line:
            message = f"{message}: {last_line[:500]}"
        return Failure(reason, message, stderr_tail=stderr_tail)

    def _ended_for_good(self) -> bool:
        try:
            return self._stores.jobs.get(self._lease.job.id).state.final
        except StoreError as error:
            self._log.warning("leftovers stay for gc", error=str(error))
            return False

    def _remove_scaffolding(self, job: Job) -> None:
        """Checkpoints and the upload are needed no more; what is missed here, `gc` collects."""
        try:
            remove_scaffolding(job, self._stores.blobs)
        except StoreError as error:
            self._log.warning("leftovers stay for gc", error=str(error))
