"""The job table: legal transitions, one holder at a time, order and caps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import redis
from convnest_store import jobs as jobs_module
from convnest_store.errors import (
    FailedPrecondition,
    LeaseLost,
    Unavailable,
)
from convnest_store.events import EventReader
from convnest_store.jobs import JobStore, Lease
from convnest_store.registry import ModelRegistry
from convnest_store.scripts import ScriptLoader, _constants
from convnest_store.states import TRANSITIONS, JobState, Wish
from support.desk import FAILURE, LEASE_S, Desk, contents
from support.waiting import until

MANIFEST = {"model": "m", "version": 1}
RECORD = {"name": "d"}
#: What needs the lease, and changes the record or what it leads to.
BY_LEASE: dict[str, Callable[[JobStore, Lease], object]] = {
    "beat": lambda jobs, lease: jobs.beat(lease, lease_s=LEASE_S),
    "append_events": lambda jobs, lease: jobs.append_events(lease, [("log", {"text": "x"})]),
    "commit_checkpoint": lambda jobs, lease: jobs.commit_checkpoint(lease, {"a": 1}, event={}),
    "requeue": lambda jobs, lease: jobs.requeue(lease, reason="r", failure=FAILURE, counts=True),
    "finish": lambda jobs, lease: jobs.finish(lease, JobState.SUCCEEDED, result={}),
    "reserve_version": lambda jobs, lease: jobs.reserve_version(lease, "m"),
    "publish_model": lambda jobs, lease: jobs.publish_model(lease, MANIFEST, result={}),
    "publish_dataset": lambda jobs, lease: jobs.publish_dataset(lease, RECORD, result={}),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_a_state_changes_as_the_table_says_and_in_no_other_way(
    desk: Desk, client: redis.Redis, before: JobState, after: JobState
) -> None:
    load = ScriptLoader(client, "jobs", _constants())
    script = client.register_script(
        f"{load._prelude}\nreturn set_state(ARGV[1], ARGV[2], 'why', '') or {{'OK'}}"
    )
    job = desk.new()
    client.hset(f"{{convnest}}:job:{job.id}", "state", before)
    stored = contents(client)
    answer = script(args=[job.id, after])
    if after in TRANSITIONS[before]:
        assert answer == ["OK"]
        assert desk.state(job.id) is after
        assert job.id in desk.ids(after)
    else:
        assert answer[0] == "FAILED_PRECONDITION"
        assert contents(client) == stored


def test_a_job_goes_from_queued_to_done(desk: Desk, events: EventReader) -> None:
    job = desk.new()
    assert (job.state, job.attempt, job.worker) == (JobState.QUEUED, 0, "")
    lease = desk.taken(worker="one")
    running = desk.jobs.get(job.id)
    assert (running.state, running.attempt, running.worker) == (JobState.RUNNING, 1, "one")
    assert running.started_ms >= running.created_ms > 0
    assert desk.claim() is None
    desk.jobs.finish(lease, JobState.SUCCEEDED, result={"blobs": 3})
    done = desk.jobs.get(job.id)
    assert (done.state, done.result, done.worker) == (JobState.SUCCEEDED, {"blobs": 3}, "")
    assert done.ended_ms >= done.started_ms
    told = [event.data["state"] for event in events.read(job.id, after=0)]
    assert told == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert desk.jobs.active_ids() == frozenset()


@pytest.mark.parametrize("operation", BY_LEASE)
@pytest.mark.parametrize(
    "how", ["given back", "taken by another", "finished", "deleted", "forged", "empty"]
)
def test_a_stale_token_changes_nothing(
    desk: Desk, client: redis.Redis, operation: str, how: str
) -> None:
    job = desk.new()
    lease = desk.taken()
    if how == "forged":
        lease = Lease(lease.job, "1:forged")
    elif how in ("finished", "deleted"):
        desk.jobs.finish(lease, JobState.SUCCEEDED)
        if how == "deleted":
            desk.jobs.delete(job.id)
    else:
        desk.jobs.requeue(lease, reason="r", counts=False)
        if how == "taken by another":
            desk.taken()
        if how == "empty":  # as the record's own is now
            lease = Lease(lease.job, "")
    before = contents(client)
    with pytest.raises(LeaseLost):
        BY_LEASE[operation](desk.jobs, lease)
    assert contents(client) == before


def test_two_workers_never_hold_the_same_job(desk: Desk) -> None:
    made = {desk.new().id for _ in range(20)}
    taken = [desk.taken().job.id for _ in range(20)]
    assert len(taken) == len(set(taken))
    assert set(taken) == made
    assert desk.claim() is None


def test_the_best_job_is_the_most_urgent_then_the_longest_waiting(desk: Desk) -> None:
    made = {}
    for index, priority in enumerate((0, 5, -100, 5, 100, 0, -1)):
        made[desk.new(priority=priority).id] = (-priority, index)
        # The next one waits for less long: by Redis' clock, which counts milliseconds.
        now = desk.client.time()
        until(lambda before=now: desk.client.time() > _later(before), within_s=1, what="a tick")  # type: ignore[misc]
    order = [desk.taken().job.id for _ in made]
    assert order == sorted(made, key=lambda job_id: made[job_id])


def _later(time: Any) -> tuple[int, int]:
    seconds, microseconds = time
    return (seconds, microseconds + 1000) if microseconds < 999_000 else (seconds + 1, 0)


def test_a_lease_that_ran_out_is_reaped_and_the_attempt_counts(desk: Desk) -> None:
    job = desk.new(max_attempts=2)
    reap(desk)
    for attempt in (1, 2):
        lease = desk.taken(lease_s=0.05)
        reaped = until(lambda: reap(desk), within_s=5, what="the lease is reaped")
        assert reaped == [job.id]
        now = desk.jobs.get(job.id)
        assert now.failed_attempts == attempt
        assert now.failures[-1].reason == "WORKER_LOST"
        assert now.failures[-1].attempt == attempt
        with pytest.raises(LeaseLost):
            desk.jobs.beat(lease, lease_s=LEASE_S)
    assert now.state is JobState.FAILED
    assert now.error is not None
    assert now.error.reason == "WORKER_LOST"
    assert reap(desk) == []
    assert desk.jobs.active_ids() == frozenset()


def reap(desk: Desk) -> list[str]:
    return list(desk.jobs.reap(lease_s=0.01, every_s=5)[1])


def test_a_holder_that_is_late_but_unclaimed_may_renew(desk: Desk) -> None:
    job = desk.new()
    lease = desk.taken(lease_s=0.001)
    leases = "{convnest}:leases"
    until(
        lambda: desk.client.zscore(leases, job.id) < now_ms(desk),  # type: ignore[operator]
        within_s=2,
        what="the lease is over",
    )
    desk.jobs.beat(lease, lease_s=LEASE_S)
    reap(desk)
    assert desk.state(job.id) is JobState.RUNNING


def now_ms(desk: Desk) -> float:
    seconds, microseconds = desk.client.time()
    return seconds * 1000 + microseconds / 1000


def test_a_beat_brings_the_wish_and_how_many_wait(desk: Desk) -> None:
    job = desk.new()
    lease = desk.taken()
    assert desk.jobs.beat(lease, lease_s=LEASE_S) == jobs_module.Beat(Wish.NONE, 0)
    desk.new()
    assert desk.jobs.cancel(job.id).wish is Wish.CANCEL
    assert desk.jobs.beat(lease, lease_s=LEASE_S) == jobs_module.Beat(Wish.CANCEL, 1)
    assert desk.jobs.cancel(job.id).wish is Wish.CANCEL  # to ask twice is no mistake
    assert desk.jobs.requeue(lease, reason="r", counts=False) is JobState.CANCELLED


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_job_that_ends_though_a_cancel_was_wished_has_ended(desk: Desk, state: JobState) -> None:
    job = desk.new()
    lease = desk.taken()
    desk.jobs.cancel(job.id)
    desk.jobs.finish(lease, state)
    assert (desk.state(job.id), desk.jobs.get(job.id).wish) == (state, Wish.NONE)


def test_a_waiting_job_is_cancelled_at_once_and_a_final_one_never(desk: Desk) -> None:
    job = desk.new()
    assert desk.jobs.cancel(job.id).state is JobState.CANCELLED
    assert desk.claim() is None
    with pytest.raises(FailedPrecondition, match="is CANCELLED already"):
        desk.jobs.cancel(job.id)


def test_a_waiting_job_is_paused_at_once_and_resumed_into_the_queue(desk: Desk) -> None:
    job = desk.new()
    assert desk.jobs.pause(job.id).state is JobState.PAUSED
    assert desk.claim() is None
    with pytest.raises(FailedPrecondition, match="is PAUSED and cannot be paused"):
        desk.jobs.pause(job.id)
    assert desk.jobs.resume(job.id).state is JobState.QUEUED
    with pytest.raises(FailedPrecondition, match="is QUEUED and cannot be resumed"):
        desk.jobs.resume(job.id)
    assert desk.taken().job.id == job.id


def test_a_running_job_is_paused_when_its_worker_gives_it_back(desk: Desk) -> None:
    job = desk.new()
    lease = desk.taken()
    assert desk.jobs.pause(job.id).wish is Wish.PAUSE
    assert desk.jobs.beat(lease, lease_s=LEASE_S).wish is Wish.PAUSE
    assert desk.jobs.requeue(lease, reason="paused", counts=False) is JobState.PAUSED
    assert desk.jobs.get(job.id).wish is Wish.NONE
    assert desk.jobs.resume(job.id).state is JobState.QUEUED


def test_a_pause_can_be_taken_back_before_it_is_met_but_no_cancel_is_by_it(desk: Desk) -> None:
    job = desk.new()
    lease = desk.taken()
    desk.jobs.pause(job.id)
    assert desk.jobs.resume(job.id).wish is Wish.NONE
    assert desk.jobs.requeue(lease, reason="gave way", counts=False) is JobState.QUEUED
    desk.taken()
    desk.jobs.cancel(job.id)
    with pytest.raises(FailedPrecondition, match="is being cancelled"):
        desk.jobs.pause(job.id)
    with pytest.raises(FailedPrecondition, match="is RUNNING and cannot be resumed"):
        desk.jobs.resume(job.id)
    assert desk.jobs.get(job.id).wish is Wish.CANCEL


@pytest.mark.parametrize("steer", ["pause", "resume", "set_priority"])
def test_what_has_ended_is_not_steered(desk: Desk, steer: str) -> None:
    job = desk.new()
    desk.jobs.cancel(job.id)
    arguments = (5,) if steer == "set_priority" else ()
    with pytest.raises(FailedPrecondition, match="is CANCELLED"):
        getattr(desk.jobs, steer)(job.id, *arguments)


def test_a_priority_moves_a_job_in_the_queue(desk: Desk) -> None:
    first, second, third = (desk.new() for _ in range(3))
    assert [desk.jobs.get(job.id).queue_position for job in (first, second, third)] == [1, 2, 3]
    moved = desk.jobs.set_priority(third.id, 7)
    assert (moved.priority, moved.queue_position) == (7, 1)
    assert desk.jobs.get(first.id).queue_position == 2
    listed = {job.id: job.queue_position for job in desk.jobs.list()}
    assert listed == {third.id: 1, first.id: 2, second.id: 3}
    lease = desk.taken()
    assert lease.job.id == third.id
    assert desk.jobs.get(third.id).queue_position == 0
    desk.jobs.set_priority(third.id, -7)
    desk.jobs.requeue(lease, reason="gave way", counts=False)
    assert desk.jobs.get(third.id).queue_position == 3


@pytest.mark.parametrize("counts", [True, False])
def test_attempts_are_capped_and_what_does_not_count_is_not(desk: Desk, counts: bool) -> None:
    job = desk.new(max_attempts=3)
    states = [
        desk.jobs.requeue(desk.taken(), reason="slice died", failure=FAILURE, counts=counts)
        for _ in range(3)
    ]
    final = JobState.FAILED if counts else JobState.QUEUED
    assert states == [JobState.QUEUED, JobState.QUEUED, final]
    now = desk.jobs.get(job.id)
    assert now.failed_attempts == (3 if counts else 0)
    assert [failure.attempt for failure in now.failures] == [1, 2, 3]
    assert (now.error is not None) == counts
    assert now.failures[0].stderr_tail == "last words"


def test_only_the_last_failures_are_kept(desk: Desk) -> None:
    job = desk.new(max_attempts=50)
    for _ in range(13):
        desk.jobs.requeue(desk.taken(), reason="r", failure=FAILURE, counts=True)
    assert [failure.attempt for failure in desk.jobs.get(job.id).failures] == list(range(4, 14))


def test_a_begun_job_waits_for_a_machine_like_its_own_for_a_while(
    desk: Desk, events: EventReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = desk.new()
    lease = desk.taken(fingerprint="avx2")
    desk.jobs.commit_checkpoint(lease, {"epoch": 1}, event={"epoch": 1})
    desk.jobs.requeue(lease, reason="r", counts=False)
    other = desk.new()
    assert desk.taken(fingerprint="neon").job.id == other.id  # it is passed over
    assert desk.claim(fingerprint="neon") is None
    lease = desk.taken(fingerprint="avx2")
    assert lease.job.id == job.id
    desk.jobs.requeue(lease, reason="r", counts=False)
    monkeypatch.setattr(jobs_module, "FINGERPRINT_PATIENCE_S", 0.05)
    foreign = until(lambda: desk.claim(fingerprint="neon"), within_s=5, what="patience ends")
    assert foreign is not None
    assert foreign.job.id == job.id
    told = [event.data for event in events.read(job.id, after=0) if event.kind == "state"]
    assert "no longer bit-exact" in told[-1]["reason"]


def test_a_job_without_a_checkpoint_goes_anywhere(desk: Desk) -> None:
    desk.new()
    desk.jobs.requeue(desk.taken(fingerprint="avx2"), reason="r", counts=False)
    assert desk.claim(fingerprint="neon") is not None


def test_the_two_latest_checkpoints_are_kept_and_older_ones_given_back(desk: Desk) -> None:
    desk.new()
    lease = desk.taken()
    commit = desk.jobs.commit_checkpoint
    one, two, three = ({"n": number} for number in (1, 2, 3))
    assert commit(lease, one, event={}) is None
    assert commit(lease, two, event={}) is None
    assert commit(lease, three, event={}) == one
    assert commit(lease, three, event={}) is None  # told twice
    assert desk.jobs.get(lease.job.id).checkpoints == (three, two)


def test_a_version_is_reserved_once_a_job_and_never_used_twice(
    desk: Desk, models: ModelRegistry
) -> None:
    desk.new()
    desk.new()
    first, second = desk.taken(), desk.taken()
    assert desk.jobs.reserve_version(first, "m")[0] == 1
    assert desk.jobs.reserve_version(second, "m")[0] == 2
    desk.jobs.requeue(first, reason="r", counts=False)
    again = desk.taken()
    assert again.job.id == first.job.id
    assert desk.jobs.reserve_version(again, "m")[0] == 1
    desk.jobs.publish_model(second, {"model": "m", "version": 2}, result={"version": 2})
    assert models.get("m").versions == (2,)
    desk.jobs.publish_model(again, {"model": "m", "version": 1}, result={"version": 1})
    assert models.get("m").versions == (1, 2)


def test_a_redis_that_is_away_is_told_as_unavailable() -> None:
    with redis.Redis.from_url("unix:///nowhere/redis.sock") as away:
        jobs = JobStore(away)
        for call in (
            lambda: jobs.get("0" * 15),
            jobs.list,
            jobs.counts,
            lambda: jobs.cancel("0" * 15),
            lambda: jobs.reap(lease_s=1, every_s=1),
        ):
            with pytest.raises(Unavailable, match="state Redis"):
                call()
