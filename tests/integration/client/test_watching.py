"""Watching shows every event once, whatever happens to the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import convnest
import grpc
import pytest
from convnest_api.v1 import jobs_pb2, training_pb2

if TYPE_CHECKING:
    from support.fake_api.world import Failure, FakeConvNest


@pytest.fixture
def job(world: FakeConvNest, client: convnest.Client) -> convnest.Job:
    """A job of eleven events that has run to its end."""
    world.epochs = 4
    return client.train(dataset="digits", network="lenet", model="m", epochs=4)


@pytest.fixture
def waiting_job(world: FakeConvNest, client: convnest.Client) -> convnest.Job:
    world.holds_jobs = True
    return client.train(dataset="digits", network="lenet", model="m")


def test_events_come_in_order_and_end_with_the_final_state(job: convnest.Job) -> None:
    events = list(job.watch())
    assert [event.cursor for event in events] == list(range(1, 12))
    last = events[-1]
    assert isinstance(last, convnest.StateChanged)
    assert last.state is convnest.JobState.SUCCEEDED
    finished = [event for event in events if isinstance(event, convnest.EpochFinished)]
    assert [event.metrics.epoch for event in finished] == [1, 2, 3, 4]


def test_watching_begins_after_the_cursor(job: convnest.Job) -> None:
    assert [event.cursor for event in job.watch(8)] == [9, 10, 11]


def test_watching_after_the_end_ends_at_once(job: convnest.Job) -> None:
    assert list(job.watch(11)) == []


@pytest.mark.parametrize("events", [1, 2, 5])
def test_a_stream_that_is_cut_again_and_again_loses_and_doubles_nothing(
    world: FakeConvNest, job: convnest.Job, events: int
) -> None:
    world.breaks_stream_after = events
    assert [event.cursor for event in job.watch()] == list(range(1, 12))


@pytest.mark.parametrize("events", [1, 3, 10])
def test_a_stream_that_ends_before_the_last_event_is_taken_up_again(
    world: FakeConvNest, job: convnest.Job, events: int
) -> None:
    world.ends_stream_after = events
    assert [event.cursor for event in job.watch()] == list(range(1, 12))


def test_watching_survives_a_restart_of_the_server(
    world: FakeConvNest, waiting_job: convnest.Job
) -> None:
    cursors: list[int] = []
    away = threading.Event()
    seen = threading.Event()

    def watch() -> None:
        for event in waiting_job.watch(on_interruption=lambda _: away.set()):
            cursors.append(event.cursor)
            seen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert seen.wait(10)
    world.stop()
    assert away.wait(10)
    world.run(waiting_job.id)
    world.start()
    watcher.join(20)
    assert not watcher.is_alive()
    assert cursors == list(range(1, len(world.events[waiting_job.id]) + 1))


def test_a_server_that_stays_away_is_given_up(
    world: FakeConvNest, waiting_job: convnest.Job
) -> None:
    world.stop()
    interruptions: list[convnest.ConvNestError] = []
    with pytest.raises(convnest.Unavailable, match="no server answers"):
        list(waiting_job.watch(patience_s=0.5, on_interruption=interruptions.append))
    assert len(interruptions) >= 2


def test_a_stream_that_ends_before_the_job_is_taken_up_again(
    world: FakeConvNest, waiting_job: convnest.Job
) -> None:
    world.ends_streams = True

    def run(_: convnest.ConvNestError) -> None:
        if world.ends_streams:
            world.ends_streams = False
            world.run(waiting_job.id)

    cursors = [event.cursor for event in waiting_job.watch(on_interruption=run)]
    assert cursors == list(range(1, len(world.events[waiting_job.id]) + 1))


def test_a_job_that_does_not_exist_is_told_at_once(client: convnest.Client) -> None:
    with pytest.raises(convnest.NotFound):
        list(client.jobs.watch("job-99"))


def test_an_error_of_the_server_is_not_waited_out(
    world: FakeConvNest, job: convnest.Job, failure: Callable[..., Failure]
) -> None:
    world.failures["WatchJob"] = [failure(grpc.StatusCode.INTERNAL)]
    with pytest.raises(convnest.Internal):
        list(job.watch())


def test_waiting_ends_at_its_deadline_and_the_job_goes_on(waiting_job: convnest.Job) -> None:
    with pytest.raises(convnest.DeadlineExceeded, match=r"job-1 has not ended within 0\.3 s"):
        waiting_job.wait(timeout_s=0.3)
    assert waiting_job.refresh().state is convnest.JobState.QUEUED


def test_a_watcher_that_leaves_ends_its_stream(
    world: FakeConvNest, waiting_job: convnest.Job
) -> None:
    watching = waiting_job.watch()
    next(watching)
    watching.close()
    world.run(waiting_job.id)
    assert len([one for one in world.requests if _is_watch(one)]) == 1


def test_closing_the_client_ends_its_watches(
    world: FakeConvNest, client: convnest.Client, waiting_job: convnest.Job
) -> None:
    watching = waiting_job.watch()
    next(watching)
    closer = threading.Timer(0.2, client.close)
    closer.start()
    with pytest.raises(convnest.Cancelled):
        next(watching)
    closer.join()


def test_every_kind_of_event_has_its_type(world: FakeConvNest, waiting_job: convnest.Job) -> None:
    error = jobs_pb2.JobError(reason="SLICE_CRASHED", message="signal 9", attempt=1)
    world.enter(waiting_job.id, jobs_pb2.JOB_STATE_QUEUED, error=error)
    world.emit(
        waiting_job.id,
        checkpoint_written=jobs_pb2.CheckpointWritten(epoch=2, batch=7, size_bytes=99),
    )
    world.emit(waiting_job.id, log=jobs_pb2.LogLine(level="warning", text="slow"))
    world.emit(waiting_job.id, truncated=jobs_pb2.Truncated(events=17))
    world.emit(waiting_job.id)
    world.enter(waiting_job.id, jobs_pb2.JOB_STATE_CANCELLED)
    _, failed, checkpoint, log, truncated, unknown, last = waiting_job.watch()
    assert isinstance(failed, convnest.StateChanged)
    assert failed.error is not None
    assert failed.error.message == "signal 9"
    time = checkpoint.time
    assert checkpoint == convnest.CheckpointWritten(3, time, 2, 7, 99)
    assert log == convnest.LogWritten(4, time, "warning", "slow")
    assert truncated == convnest.Truncated(5, time, 17)
    assert type(unknown) is convnest.JobEvent
    assert isinstance(last, convnest.StateChanged)


def _is_watch(request: object) -> bool:
    return isinstance(request, training_pb2.WatchJobRequest)
