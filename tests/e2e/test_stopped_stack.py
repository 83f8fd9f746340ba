"""What ends with the stack, in time, and what goes on at its next start."""

import time
from collections.abc import Iterator
from pathlib import Path

import convnest
import pytest
from convnest import JobState
from support.process_tree import MODEL, SLICE, running_module, still_there
from support.training_runs import (
    LENET,
    QUICK,
    assert_resumed,
    events_of,
    train_undisturbed,
    wait_for_checkpoint,
    weights_digest,
)
from support.up import Up
from support.waiting import until


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    """The stacks of a test, which end with it."""
    started: list[Up] = []
    yield started
    for up in started:
        up.close()


def test_a_terminated_stack_ends_in_ten_seconds_and_its_job_goes_on_at_the_next_start(
    tmp_path: Path, ups: list[Up]
) -> None:
    ups.append(Up(tmp_path / "data"))
    with convnest.connect(ups[0].wait_ready()) as client:
        client.datasets.add("digits", builtin="digits").wait(timeout_s=60)
        client.train(**QUICK, model="quick").wait(timeout_s=60)
        digest = train_undisturbed(client)
        sample = client.datasets.sample("digits", count=1, split="test")[0]
        client.classify("quick", sample.png)
        job = client.train(**LENET, model="interrupted")
        wait_for_checkpoint(job)
    processes = ups[0].descendants()
    worker = ups[0].pid_of("worker-1")
    assert running_module(worker, SLICE)
    assert running_module(worker, MODEL)
    assert len(processes) >= 7  # the stack, two Redis servers, server, worker, slice, model
    asked = time.monotonic()
    assert ups[0].terminate(within_s=30) == 0
    assert time.monotonic() - asked < 10
    assert not still_there(processes)

    ups.append(Up(tmp_path / "data"))
    with convnest.connect(ups[1].wait_ready()) as client:
        ended = client.jobs.get(job.id).wait(timeout_s=90)
        assert weights_digest(ended) == digest
        assert ended.failed_attempts == 0
        assert_resumed(events_of(ended))
        assert client.jobs.get(job.id).state is JobState.SUCCEEDED
        assert client.classify("quick", sample.png)


def test_nothing_outlives_a_killed_stack_though_a_job_runs_and_its_redis_is_gone(
    tmp_path: Path, ups: list[Up]
) -> None:
    ups.append(Up(tmp_path / "data"))
    with convnest.connect(ups[0].wait_ready()) as client:
        client.datasets.add("digits", builtin="digits").wait(timeout_s=60)
        wait_for_checkpoint(client.train(**{**LENET, "epochs": 1000}, model="orphan"))
    processes = ups[0].descendants()
    ups[0].kill()
    until(lambda: not still_there(processes), within_s=20, what="all of the stack is gone")
