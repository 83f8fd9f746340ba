"""Of all who believe that a job is theirs, one commits."""

import signal

import pytest
from convnest import Job, JobState
from convnest_process.broker import MAX_HINTS, QUEUE, JobHints, make_celery
from convnest_store.connection import connect
from convnest_store.errors import LeaseLost
from convnest_store.jobs import JobStore, Lease
from convnest_store.registry import ModelReference, ModelRegistry
from convnest_store.scripts import key
from support.process_tree import SLICE, running_module, still_there
from support.shop import Shop, StartWorker
from support.training_runs import (
    LENET,
    QUICK,
    assert_resumed,
    events_of,
    starts,
    wait_for_checkpoint,
    weights_digest,
)
from support.waiting import until


def test_a_worker_that_slept_past_its_lease_is_refused_and_another_one_commits(
    shop: Shop, start_worker: StartWorker
) -> None:
    workers = {name: start_worker(name) for name in ("one", "two")}
    for name in workers:
        shop.wait_for_worker(name)
    job = shop.client.train(**LENET, model="two-workers")
    wait_for_checkpoint(job)
    name = job.refresh().worker
    sleeper = workers[name]
    stale = _lease(shop, job)
    slices = running_module(sleeper.pid, SLICE)
    sleeper.send_signal(signal.SIGSTOP)
    try:
        until(
            lambda: job.refresh().worker not in ("", name),
            within_s=30,
            what="another worker has it",
        )
    finally:
        sleeper.send_signal(signal.SIGCONT)
    until(lambda: not still_there(slices), within_s=10, what="the stale slice is gone")
    ended = job.wait(timeout_s=90)
    assert weights_digest(ended) == shop.undisturbed_digest
    assert_resumed(events_of(job))
    assert [failure.reason for failure in ended.failures] == ["WORKER_LOST"]
    assert "lease lost" in shop.fleet.log(name)
    assert len(list(shop.client.models.versions("two-workers"))) == 1
    _assert_refused(shop, stale, model="two-workers")


def test_doubled_celery_messages_start_a_job_once(shop: Shop, start_worker: StartWorker) -> None:
    start_worker("one")
    start_worker("two")
    shop.wait_for_worker("one")
    shop.wait_for_worker("two")
    hints = JobHints(make_celery(shop.fleet.queue.url))
    job = shop.client.train(**QUICK, model="doubled")
    for _ in range(10):
        hints.send()
    ended = job.wait(timeout_s=60)
    assert ended.state is JobState.SUCCEEDED
    assert starts(events_of(job)) == 1
    assert ended.failures == ()
    assert len(list(shop.client.models.versions("doubled"))) == 1


def test_a_job_that_waits_runs_though_its_celery_message_was_lost(
    shop: Shop, start_worker: StartWorker
) -> None:
    job = shop.client.train(**QUICK, model="hintless")
    with connect(shop.fleet.queue.url, decode=True) as queue:
        queue.delete(QUEUE)
    start_worker("worker")
    assert job.wait(timeout_s=60).state is JobState.SUCCEEDED


def test_hints_that_nobody_takes_do_not_pile_up(shop: Shop) -> None:
    hints = JobHints(make_celery(shop.fleet.queue.url))
    for _ in range(MAX_HINTS + 20):
        hints.send()
    with connect(shop.fleet.queue.url, decode=True) as queue:
        assert queue.llen(QUEUE) <= MAX_HINTS


def _lease(shop: Shop, job: Job) -> Lease:
    """The right that the present holder has."""
    with connect(shop.fleet.state.url, decode=True) as state:
        token = state.hget(key("job", job.id), "token")
        assert isinstance(token, str)
        return Lease(JobStore(state).get(job.id), token)


def _assert_refused(shop: Shop, lease: Lease, *, model: str) -> None:
    with connect(shop.fleet.state.url, decode=True) as state:
        jobs = JobStore(state)
        manifest = ModelRegistry(state).resolve(ModelReference.parse(model)).dump()
        with pytest.raises(LeaseLost):
            jobs.publish_model(lease, manifest, result={})
        with pytest.raises(LeaseLost):
            jobs.beat(lease, lease_s=10)
        with pytest.raises(LeaseLost):
            jobs.requeue(lease, reason="", counts=False)
