"""A job outlives its worker and its slice; one that kills its slice each time is given up."""

from convnest import JobState
from support.hooks import hooked
from support.process_tree import SLICE, descendants, running_module, still_there
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


def test_a_killed_workers_job_goes_on_from_its_checkpoint_to_the_same_weights(
    shop: Shop, start_worker: StartWorker
) -> None:
    workers = {name: start_worker(name) for name in ("one", "two")}
    job = shop.client.train(**LENET, model="killed-worker")
    wait_for_checkpoint(job)
    holder = workers[job.refresh().worker]
    children = descendants(holder.pid)
    assert running_module(holder.pid, SLICE)
    holder.kill()
    until(lambda: not still_there(children), within_s=2, what="the worker's children are gone")
    ended = job.wait(timeout_s=90)
    assert weights_digest(ended) == shop.undisturbed_digest
    assert_resumed(events_of(job))
    assert [failure.reason for failure in ended.failures] == ["WORKER_LOST"]


def test_a_killed_slices_job_goes_on_from_its_checkpoint_to_the_same_weights(
    shop: Shop, start_worker: StartWorker
) -> None:
    worker = start_worker("worker")
    job = shop.client.train(**LENET, model="killed-slice")
    wait_for_checkpoint(job)
    (slice_,) = running_module(worker.pid, SLICE)
    children = [slice_, *slice_.children(recursive=True)]
    slice_.kill()
    until(lambda: not still_there(children), within_s=2, what="the slice and its children are gone")
    ended = job.wait(timeout_s=90)
    assert weights_digest(ended) == shop.undisturbed_digest
    assert_resumed(events_of(job))
    (failure,) = ended.failures
    assert failure.reason == "SLICE_CRASHED"
    assert "SIGKILL" in failure.message


def test_a_job_that_kills_its_slice_every_time_fails_at_the_attempt_cap(
    shop: Shop, start_worker: StartWorker
) -> None:
    start_worker("worker", **hooked("killing_slice"))
    job = shop.client.train(**QUICK, model="never").wait(timeout_s=120)
    assert job.state is JobState.FAILED
    assert job.failed_attempts == job.max_attempts == starts(events_of(job)) == len(job.failures)
    assert job.error is not None
    assert job.error.reason == "SLICE_CRASHED"
    assert "signal 9 (SIGKILL)" in job.error.message
    assert "about to die" in job.error.stderr_tail
    assert all(model.name != "never" for model in shop.client.models.list())
