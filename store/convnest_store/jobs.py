"""Job records: the truth about every job. Celery messages only hint that there is one to take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, cast

import redis

from convnest_store.connection import unavailable_as_ours
from convnest_store.errors import NotFound
from convnest_store.names import is_job_id, new_job_id
from convnest_store.scripts import StateScripts, key
from convnest_store.states import JobKind, JobState, Wish

Json = dict[str, Any]  # a JSON object: its values are what the kind's spec or result says

SCHEMA_VERSION = 1
MAX_ACTIVE_JOBS = 10_000
MAX_JOB_RECORDS = 50_000
DEFAULT_MAX_ATTEMPTS = 5
#: How long a begun job waits for a worker whose numbers are the same to the bit.
FINGERPRINT_PATIENCE_S = 15.0


@dataclass(frozen=True)
class NewJob:
    """What a job is made from. `spec` is complete: every default is filled in."""

    kind: JobKind
    spec: Json
    priority: int = 0
    uses_dataset: str = ""
    makes_dataset: str = ""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended badly."""

    reason: str
    message: str
    field: str = ""
    stderr_tail: str = ""
    attempt: int = 0
    time_ms: int = 0

    @classmethod
    def read(cls, data: Json) -> "Failure":
        """From stored JSON."""
        return cls(
            reason=data["reason"],
            message=data["message"],
            field=data.get("field", ""),
            stderr_tail=data.get("stderr_tail", ""),
            attempt=int(data.get("attempt", 0)),
            time_ms=int(data.get("time_ms", 0)),
        )

    def dump(self) -> str:
        """As stored JSON; the store adds the attempt and the time."""
        return json.dumps(
            {
                "reason": self.reason,
                "message": self.message[:2000],
                "field": self.field,
                "stderr_tail": self.stderr_tail[-4096:],
            }
        )


@dataclass(frozen=True)
class Job:
    """A job record as read. Times are milliseconds since 1970 by Redis' clock; 0 is never."""

    id: str
    kind: JobKind
    state: JobState
    spec: Json
    priority: int
    created_ms: int
    started_ms: int
    ended_ms: int
    attempt: int
    failed_attempts: int
    max_attempts: int
    wish: Wish
    worker: str
    progress: Json | None
    result: Json | None
    error: Failure | None
    failures: tuple[Failure, ...]
    checkpoints: tuple[Json, ...] = field(repr=False)
    """What to go on from: the latest first, then the one before."""
    queue_position: int = 0
    """1 for the waiting job that the next free worker takes; 0 where it does not wait."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a job; worth something as long as its token is the record's."""

    job: Job
    token: str


@dataclass(frozen=True)
class Beat:
    """What a heartbeat brings back."""

    wish: Wish
    waiting: int
    """Jobs that wait for a worker."""


class JobStore:
    """The job table. Every change of state is one Lua script; all methods may raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = StateScripts(client)

    def create(self, new: NewJob, *, request_id: str = "") -> tuple[Job, bool]:
        """Stores a QUEUED job; returns it and whether it is new.

        With a `request_id` seen within a day, the job made then is returned.
        Raises NotFound (dataset), AlreadyExists (dataset name, or request_id of another request),
        QuotaExceeded.
        """
        spec = json.dumps(new.spec, sort_keys=True, allow_nan=False)
        record = {
            "schema": str(SCHEMA_VERSION),
            "kind": new.kind.value,
            "spec": spec,
            "priority": str(new.priority),
            "uses_dataset": new.uses_dataset,
            "makes_dataset": new.makes_dataset,
            "max_attempts": str(new.max_attempts),
        }
        digest = sha256(f"{new.kind}\n{spec}\n{new.priority}".encode()).hexdigest()
        job_id, created = self._scripts.run(
            "create_job",
            new_job_id(),
            json.dumps(record),
            request_id,
            digest,
            MAX_ACTIVE_JOBS,
            MAX_JOB_RECORDS,
        )
        return self.get(job_id), created == "1"

    def get(self, job_id: str) -> Job:
        """The record; raises NotFound."""
        _check_id(job_id)
        with unavailable_as_ours("state"):
            found = self._read_all([job_id])
        if not found:
            raise NotFound(f"job {job_id} does not exist")
        return found[0]

    def list(
        self, *, states: Sequence[JobState] = (), before: str = "", limit: int = 50
    ) -> Sequence[Job]:
        """Newest first, at most `limit`, older than the id `before`; in any state by default."""
        top = f"({before}" if before else "+"
        tables = [key("jobs", state) for state in set(states)] or [key("jobs")]
        with unavailable_as_ours("state"):
            ids: set[str] = set()
            for table in tables:
                ids.update(cast(list[str], self._client.zrevrangebylex(table, top, "-", 0, limit)))
            return self._read_all(sorted(ids, reverse=True)[:limit])

    def _read_all(self, ids: Sequence[str]) -> Sequence[Job]:
        """The records that exist, with their places in the queue."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(key("job", job_id))
            pipeline.zrank(key("waiting"), job_id)
        answers = pipeline.execute()
        return [
            replace(_read(fields), queue_position=0 if rank is None else rank + 1)
            for fields, rank in zip(answers[::2], answers[1::2], strict=True)
            if fields
        ]

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with unavailable_as_ours("state"):
            pipeline = self._client.pipeline(transaction=False)
            for state in JobState:
                pipeline.zcard(key("jobs", state))
            return dict(zip(JobState, cast(list[int], pipeline.execute()), strict=True))

    def active_ids(self) -> frozenset[str]:
        """Jobs that are not final."""
        with unavailable_as_ours("state"):
            return frozenset(cast(set[str], self._client.smembers(key("active"))))

    def cancel(self, job_id: str) -> Job:
        """CANCELLED at once where it waits, a wish where it runs.

        Raises NotFound, FailedPrecondition (final already).
        """
        _check_id(job_id)
        self._scripts.run("cancel_job", job_id)
        return self.get(job_id)

    def pause(self, job_id: str) -> Job:
        """PAUSED at once where it waits, a wish where it runs.

        Raises NotFound, FailedPrecondition (neither waiting nor running, or being cancelled).
        """
        _check_id(job_id)
        self._scripts.run("pause_job", job_id)
        return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """QUEUED again where it is paused; takes the wish back where that is not met yet.

        Raises NotFound, FailedPrecondition (not paused).
        """
        _check_id(job_id)
        self._scripts.run("resume_job", job_id)
        return self.get(job_id)

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Moves it to its new place where it waits. Raises NotFound, FailedPrecondition (final)."""
        _check_id(job_id)
        self._scripts.run("set_priority", job_id, priority)
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Removes a final job's record and events. Raises NotFound, FailedPrecondition."""
        _check_id(job_id)
        self._scripts.run("delete_job", job_id)

    # What follows is for the worker that runs the job.

    def claim(self, *, worker: str, nonce: str, lease_s: float, fingerprint: str) -> Lease | None:
        """Takes the best waiting job, or None where none waits for this worker."""
        job_id, token = self._scripts.run(
            "claim_job",
            worker,
            nonce,
            _milliseconds(lease_s),
            fingerprint,
            _milliseconds(FINGERPRINT_PATIENCE_S),
        )
        return Lease(self.get(job_id), token) if job_id else None

    def beat(self, lease: Lease, *, lease_s: float) -> Beat:
        """Renews the lease. Raises LeaseLost."""
        wish, waiting = self._scripts.run(
            "beat_job", lease.job.id, lease.token, _milliseconds(lease_s)
        )
        return Beat(Wish(wish), int(waiting))

    def append_events(self, lease: Lease, events: Sequence[tuple[str, Json]]) -> None:
        """Adds (kind, payload) to the job's stream. Raises LeaseLost."""
        if events:
            flat = [part for kind, data in events for part in (kind, _dump(data))]
            self._scripts.run("append_events", lease.job.id, lease.token, *flat)

    def commit_checkpoint(self, lease: Lease, checkpoint: Json, *, event: Json) -> Json | None:
        """Points the job to a checkpoint; returns the one no longer needed. Raises LeaseLost."""
        (unneeded,) = self._scripts.run(
            "commit_checkpoint", lease.job.id, lease.token, _dump(checkpoint), _dump(event)
        )
        return json.loads(unneeded) if unneeded else None

    def requeue(
        self, lease: Lease, *, reason: str, failure: Failure | None = None, counts: bool
    ) -> JobState:
        """Gives the job back; `counts` it as a failed attempt. Returns the state it is in now.

        That is FAILED at the attempt cap, CANCELLED or PAUSED where that was wished.
        Raises LeaseLost.
        """
        (state,) = self._scripts.run(
            "requeue_job",
            lease.job.id,
            lease.token,
            reason,
            failure.dump() if failure else "",
            "1" if counts else "0",
        )
        return JobState(state)

    def finish(
        self,
        lease: Lease,
        state: JobState,
        *,
        reason: str = "",
        failure: Failure | None = None,
        result: Json | None = None,
    ) -> None:
        """Ends a job that publishes neither model nor dataset. Raises LeaseLost."""
        self._scripts.run(
            "finish_job",
            lease.job.id,
            lease.token,
            state,
            reason,
            failure.dump() if failure else "",
            _dump(result) if result is not None else "",
        )

    def reserve_version(self, lease: Lease, model: str) -> tuple[int, int]:
        """The version number that the job publishes under, the same at each attempt; the time.

        Raises LeaseLost.
        """
        version, now_ms = self._scripts.run("reserve_version", lease.job.id, lease.token, model)
        return int(version), int(now_ms)

    def publish_model(self, lease: Lease, manifest: Json, *, result: Json) -> None:
        """Registers the model version and ends the job, together. Raises LeaseLost."""
        self._scripts.run(
            "publish_model",
            lease.job.id,
            lease.token,
            manifest["model"],
            manifest["version"],
            _dump(manifest),
            _dump(result),
        )

    def publish_dataset(self, lease: Lease, record: Json, *, result: Json) -> None:
        """Registers the dataset and ends the job, together. Raises LeaseLost, AlreadyExists."""
        self._scripts.run(
            "publish_dataset",
            lease.job.id,
            lease.token,
            record["name"],
            _dump(record),
            _dump(result),
        )

    def reap(self, *, lease_s: float, every_s: float) -> tuple[int, Sequence[str]]:
        """Re-queues jobs whose lease ran out; returns how many wait now and which were reaped.

        every_s: how often this is called at least, by each worker.
        """
        patience_s = max(lease_s / 2, 2 * every_s)
        waiting, *reaped = self._scripts.run(
            "reap_jobs", _milliseconds(lease_s), _milliseconds(patience_s)
        )
        return int(waiting), reaped


def _check_id(job_id: str) -> None:
    """What is no id names no job, and must not become part of a key."""
    if not is_job_id(job_id):
        raise NotFound(f"job {job_id[:80]!r} does not exist")


def _read(fields: Mapping[str, str]) -> Job:
    checkpoints = (fields.get("checkpoint"), fields.get("previous_checkpoint"))
    return Job(
        id=fields["id"],
        kind=JobKind(fields["kind"]),
        state=JobState(fields["state"]),
        spec=json.loads(fields["spec"]),
        priority=int(fields["priority"]),
        created_ms=int(fields["created_ms"]),
        started_ms=int(fields.get("started_ms", 0)),
        ended_ms=int(fields.get("ended_ms", 0)),
        attempt=int(fields["attempt"]),
        failed_attempts=int(fields["failed_attempts"]),
        max_attempts=int(fields["max_attempts"]),
        wish=Wish(fields["wish"]),
        worker=fields["worker"],
        progress=_load(fields.get("progress")),
        result=_load(fields.get("result")),
        error=Failure.read(json.loads(fields["error"])) if fields.get("error") else None,
        failures=tuple(Failure.read(entry) for entry in json.loads(fields["failures"])),
        checkpoints=tuple(json.loads(text) for text in checkpoints if text),
    )


def _load(text: str | None) -> Json | None:
    return json.loads(text) if text else None


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, allow_nan=False)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
