"""What is asked to stop stops in time, and leaves nothing behind."""

import signal
import time

import convnest
import pytest
from convnest import JobState, LogWritten, ProgressMade, StateChanged
from convnest_core.kernels import kernel_set
from support.process_tree import SLICE, descendants, running_module, still_there
from support.shop import Shop, StartWorker
from support.training_runs import (
    LENET,
    QUICK,
    assert_resumed,
    events_of,
    wait_for_checkpoint,
    weights_digest,
)
from support.waiting import until

#: As they are outside of tests.
UNHURRIED = {"CONVNEST_LEASE_S": "10", "CONVNEST_BEAT_S": "1"}


def test_cancel_stops_a_running_job_within_three_seconds(
    shop: Shop, start_worker: StartWorker
) -> None:
    worker = start_worker("worker", **UNHURRIED)
    job = shop.client.train(**{**LENET, "epochs": 1000}, model="cancelled")
    for event in job.watch(timeout_s=60):
        if isinstance(event, ProgressMade) and event.progress.phase == "training":
            break
    slices = running_module(worker.pid, SLICE)
    asked = time.monotonic()
    job.cancel()
    ended = job.wait(timeout_s=30)
    # A batch of this network takes a few milliseconds.
    assert time.monotonic() - asked <= 3
    assert ended.state is JobState.CANCELLED
    until(lambda: not still_there(slices), within_s=2, what="the slice is gone")
    after = shop.client.train(**QUICK, model="after-cancel").wait(timeout_s=60)
    assert after.state is JobState.SUCCEEDED
    assert all(model.name != "cancelled" for model in shop.client.models.list())


def test_a_paused_job_frees_its_worker_and_goes_on_to_the_same_weights(
    shop: Shop, start_worker: StartWorker
) -> None:
    start_worker("worker")
    job = shop.client.train(**LENET, model="paused")
    wait_for_checkpoint(job)
    job.pause()
    until(lambda: job.refresh().state is JobState.PAUSED, within_s=10, what="the job is paused")
    between = shop.client.train(**QUICK, model="while-paused").wait(timeout_s=60)
    assert between.state is JobState.SUCCEEDED
    assert job.refresh().state is JobState.PAUSED
    assert job.resume().state in (JobState.QUEUED, JobState.RUNNING)
    ended = job.wait(timeout_s=90)
    assert weights_digest(ended) == shop.undisturbed_digest
    assert_resumed(events_of(job))


def test_a_cancelled_job_is_trained_again_as_another_one(
    shop: Shop, start_worker: StartWorker
) -> None:
    job = shop.client.train(**QUICK, model="again", priority=3)
    with pytest.raises(convnest.FailedPrecondition, match="is QUEUED and cannot be retried"):
        job.retry()
    job.cancel()
    again = job.retry()
    assert (again.id != job.id, again.spec, again.priority) == (True, job.spec, 3)
    start_worker("worker")
    assert again.wait(timeout_s=60).state is JobState.SUCCEEDED
    assert job.refresh().state is JobState.CANCELLED


def test_a_terminated_workers_job_goes_on_elsewhere_to_the_same_weights(
    shop: Shop, start_worker: StartWorker
) -> None:
    first = start_worker("first")
    job = shop.client.train(**LENET, model="drained")
    wait_for_checkpoint(job)
    children = descendants(first.pid)
    first.terminate()
    first.wait(timeout=10)
    assert not still_there(children)
    assert job.refresh().state is JobState.QUEUED
    start_worker("second")
    ended = job.wait(timeout_s=90)
    assert weights_digest(ended) == shop.undisturbed_digest
    assert_resumed(events_of(job))
    assert ended.failed_attempts == 0


@pytest.mark.skipif(kernel_set() == "numpy", reason="there is one set of kernels here")
def test_a_job_that_goes_on_with_other_kernels_says_that_it_is_no_longer_bit_exact(
    shop: Shop, start_worker: StartWorker
) -> None:
    first = start_worker("by-numpy", CONVNEST_KERNELS="numpy")
    job = shop.client.train(**LENET, model="other-kernels")
    wait_for_checkpoint(job)
    first.terminate()
    first.wait(timeout=10)
    start_worker("by-simd")
    ended = job.wait(timeout_s=90)
    assert ended.state is JobState.SUCCEEDED
    events = events_of(job)
    assert_resumed(events)
    reasons = [event.reason for event in events if isinstance(event, StateChanged)]
    assert any("no longer bit-exact" in reason for reason in reasons)
    (told,) = [event.text for event in events if isinstance(event, LogWritten)]
    assert "kernels: numpy → simd" in told


def test_a_worker_does_not_wait_for_redis_to_answer_before_it_ends(
    shop: Shop, start_worker: StartWorker
) -> None:
    worker = start_worker("worker", CONVNEST_DRAIN_S="1")
    job = shop.client.train(**{**LENET, "epochs": 1000}, model="stranded")
    wait_for_checkpoint(job)
    children = descendants(worker.pid)
    shop.fleet.state.signal(signal.SIGSTOP)
    shop.fleet.queue.signal(signal.SIGSTOP)
    try:
        worker.terminate()
        worker.wait(timeout=20)
        assert not still_there(children)
    finally:
        shop.fleet.state.signal(signal.SIGCONT)
        shop.fleet.queue.signal(signal.SIGCONT)
    # Its lease runs out, and the next worker finds it.
    start_worker("next")
    until(lambda: job.refresh().worker == "next", within_s=30, what="the next worker has it")
    job.cancel()
    assert job.wait(timeout_s=30).state is JobState.CANCELLED
