"""A job table with workers to take from it, for tests of the state Redis."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

import redis
from convnest_store.jobs import Failure, Job, JobStore, Lease, NewJob
from convnest_store.states import JobKind, JobState

LEASE_S = 30.0
FAILURE = Failure("SLICE_CRASHED", "it died", stderr_tail="last words")


class Desk:
    """Makes jobs, takes them, and brings them into any state."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.jobs = JobStore(client)
        self._nonces = itertools.count()

    def new(self, *, kind: JobKind = JobKind.TRAIN, request_id: str = "", **fields: Any) -> Job:
        """A QUEUED job."""
        job, _ = self.jobs.create(NewJob(kind, {"x": 1}, **fields), request_id=request_id)
        return job

    def claim(
        self, *, worker: str = "w", lease_s: float = LEASE_S, fingerprint: str = "f"
    ) -> Lease | None:
        """The best waiting job."""
        nonce = str(next(self._nonces))
        return self.jobs.claim(worker=worker, nonce=nonce, lease_s=lease_s, fingerprint=fingerprint)

    def taken(self, **options: Any) -> Lease:
        """The best waiting job; one must wait."""
        lease = self.claim(**options)
        assert lease is not None
        return lease

    def state(self, job_id: str) -> JobState:
        """Of a job now."""
        return self.jobs.get(job_id).state

    def ids(self, state: JobState) -> list[str]:
        """Jobs listed in a state, newest first."""
        return [job.id for job in self.jobs.list(states=[state])]

    def raw(self, job_id: str) -> dict[str, str]:
        """The whole record, to compare."""
        return dict(self.client.hgetall(f"{{convnest}}:job:{job_id}"))  # type: ignore[arg-type]


def contents(client: redis.Redis) -> dict[str, Any]:
    """Everything that is stored."""
    readers: dict[str, Callable[[str], object]] = {
        "string": client.get,
        "hash": client.hgetall,
        "set": lambda key: sorted(cast(set[str], client.smembers(key))),
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    names = cast(list[str], client.keys())
    return {name: readers[cast(str, client.type(name))](name) for name in sorted(names)}
