"""Job records: made once, what they hold while they are not final, and how they are listed."""

from __future__ import annotations

from typing import cast

import pytest
import redis
from convnest_store import jobs as jobs_module
from convnest_store.catalog import DatasetCatalog
from convnest_store.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    QuotaExceeded,
)
from convnest_store.events import EventReader
from convnest_store.jobs import NewJob
from convnest_store.states import JobKind, JobState
from support.desk import FAILURE, Desk, contents

RECORD = {"name": "d"}


def test_a_request_sent_again_is_the_same_job(desk: Desk) -> None:
    new = NewJob(JobKind.TRAIN, {"a": 1, "b": 2})
    first, made = desk.jobs.create(new, request_id="r")
    again, made_again = desk.jobs.create(NewJob(JobKind.TRAIN, {"b": 2, "a": 1}), request_id="r")
    assert (first.id, made, made_again) == (again.id, True, False)
    for other in (
        NewJob(JobKind.TRAIN, {"a": 2, "b": 2}),
        NewJob(JobKind.INGEST, {"a": 1, "b": 2}),
        NewJob(JobKind.TRAIN, {"a": 1, "b": 2}, priority=1),
    ):
        with pytest.raises(AlreadyExists, match="request_id r was used for another request"):
            desk.jobs.create(other, request_id="r")
    assert len(desk.jobs.list()) == 1
    assert 86_000 < desk.client.ttl("{convnest}:request:r") <= 86_400
    desk.jobs.cancel(first.id)
    desk.jobs.delete(first.id)
    assert desk.jobs.create(new, request_id="r")[1]  # what is gone is made anew


def test_a_dataset_in_use_stays_and_one_in_the_making_has_its_name(
    desk: Desk, datasets: DatasetCatalog, client: redis.Redis
) -> None:
    with pytest.raises(NotFound, match="dataset d does not exist"):
        desk.new(uses_dataset="d")
    ingest = desk.new(kind=JobKind.INGEST, makes_dataset="d")
    with pytest.raises(AlreadyExists, match="dataset d is being made by another job"):
        desk.new(kind=JobKind.INGEST, makes_dataset="d")
    desk.jobs.publish_dataset(desk.taken(), RECORD, result={"dataset": "d"})
    assert desk.jobs.get(ingest.id).result == {"dataset": "d"}
    with pytest.raises(AlreadyExists, match="dataset d exists already"):
        desk.new(kind=JobKind.INGEST, makes_dataset="d")
    user = desk.new(uses_dataset="d")
    before = contents(client)
    with pytest.raises(FailedPrecondition, match=f"used by job {user.id}"):
        datasets.delete("d")
    assert contents(client) == before
    desk.jobs.cancel(user.id)
    desk.client.hset("{convnest}:dataset:d", "record", '{"name": "d"}')
    with pytest.raises(KeyError):  # not a whole record, but it went
        datasets.delete("d")
    assert not client.exists("{convnest}:dataset:d")
    desk.new(kind=JobKind.INGEST, makes_dataset="d")


def test_a_failed_ingest_frees_the_name(desk: Desk) -> None:
    desk.new(kind=JobKind.INGEST, makes_dataset="d")
    desk.jobs.finish(desk.taken(), JobState.FAILED, failure=FAILURE)
    desk.new(kind=JobKind.INGEST, makes_dataset="d")


def test_a_name_taken_meanwhile_refuses_the_publication_and_changes_nothing(
    desk: Desk, client: redis.Redis
) -> None:
    desk.new(kind=JobKind.INGEST, makes_dataset="d")
    lease = desk.taken()
    client.hset("{convnest}:dataset:d", mapping={"record": "{}", "created_ms": "1"})
    before = contents(client)
    with pytest.raises(AlreadyExists):
        desk.jobs.publish_dataset(lease, RECORD, result={})
    assert contents(client) == before


def test_only_a_final_job_is_deleted(desk: Desk, events: EventReader, client: redis.Redis) -> None:
    job = desk.new()
    for state in ("QUEUED", "RUNNING"):
        with pytest.raises(FailedPrecondition, match=f"is {state}; cancel it first"):
            desk.jobs.delete(job.id)
        if state == "QUEUED":
            lease = desk.taken()
    desk.jobs.finish(lease, JobState.FAILED, failure=FAILURE)
    desk.jobs.delete(job.id)
    with pytest.raises(NotFound):
        desk.jobs.get(job.id)
    with pytest.raises(NotFound):
        desk.jobs.delete(job.id)
    assert events.read(job.id, after=0) == []
    assert not [key for key in cast(list[str], client.keys()) if job.id in key]
    assert sum(desk.jobs.counts().values()) == 0


def test_what_is_no_id_is_no_job(desk: Desk, client: redis.Redis) -> None:
    job = desk.new()
    for text in ("", "x", f"{job.id}:kept", job.id.upper(), f"{job.id}\n"):
        for call in (desk.jobs.get, desk.jobs.cancel, desk.jobs.delete):
            with pytest.raises(NotFound):
                call(text)


def test_jobs_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch, client: redis.Redis) -> None:
    monkeypatch.setattr(jobs_module, "MAX_ACTIVE_JOBS", 3)
    monkeypatch.setattr(jobs_module, "MAX_JOB_RECORDS", 4)
    made = sorted(desk.new().id for _ in range(3))
    before = contents(client)
    with pytest.raises(QuotaExceeded, match="3 jobs wait or run; at most 3 are allowed"):
        desk.new()
    assert contents(client) == before
    for job_id in made[1:]:
        desk.jobs.cancel(job_id)
    newest = [desk.new().id for _ in range(2)]
    # Five records: the oldest final one went, one that waits never does.
    assert {job.id for job in desk.jobs.list()} == {made[0], made[2], *newest}


def test_jobs_are_listed_newest_first_by_state_and_page(desk: Desk) -> None:
    ids = sorted((desk.new().id for _ in range(7)), reverse=True)
    assert [job.id for job in desk.jobs.list()] == ids
    first = desk.jobs.list(limit=3)
    assert [job.id for job in first] == ids[:3]
    assert [job.id for job in desk.jobs.list(before=first[-1].id, limit=9)] == ids[3:]
    desk.jobs.cancel(ids[0])
    lease = desk.taken()
    assert desk.ids(JobState.CANCELLED) == [ids[0]]
    both = [JobState.RUNNING, JobState.CANCELLED, JobState.CANCELLED]
    assert {job.id for job in desk.jobs.list(states=both)} == {ids[0], lease.job.id}
    counts = desk.jobs.counts()
    assert (counts[JobState.QUEUED], counts[JobState.RUNNING]) == (5, 1)
