"""The training that tests of faults interrupt, and how they tell that it was resumed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import convnest
from convnest import (
    CheckpointWritten,
    EpochFinished,
    Job,
    JobEvent,
    JobState,
    ProgressMade,
    StateChanged,
    TrainResult,
)

#: Some seconds from its first checkpoint to its end even on a quick machine, so that it can be
#: interrupted between them; short enough to be done twice.
LENET: dict[str, Any] = {  # Any: keyword arguments of `Client.train`
    "dataset": "digits",
    "network": "lenet",
    "epochs": 40,
    "checkpoint_interval_s": 1,
}
#: Over in a moment.
QUICK: dict[str, Any] = {"dataset": "digits", "network": "mlp", "epochs": 2}


def weights_digest(job: Job) -> str:
    """Of a job that succeeded."""
    assert job.state is JobState.SUCCEEDED, job.error or job.failures
    assert isinstance(job.result, TrainResult)
    return job.result.weights_digest


def wait_for_checkpoint(job: Job) -> None:
    """Returns once the running job has written its first checkpoint."""
    for event in job.watch(timeout_s=60):
        if isinstance(event, CheckpointWritten):
            return
    raise AssertionError("the job ended without a checkpoint")


def events_of(job: Job) -> Sequence[JobEvent]:
    """All events of a job that has ended."""
    return list(job.watch(timeout_s=30))


def starts(events: Sequence[JobEvent]) -> int:
    """How often the job was started."""
    return sum(isinstance(e, StateChanged) and e.state is JobState.RUNNING for e in events)


def assert_resumed(events: Sequence[JobEvent], *, times: int = 1) -> None:
    """The job was started anew so often, and each time it went on from its last checkpoint."""
    assert starts(events) == times + 1
    total = next(
        e.progress.total for e in events if isinstance(e, ProgressMade) and e.progress.epochs
    )
    saved = position = 0
    is_fresh = False
    for event in events:
        if isinstance(event, StateChanged) and event.state is JobState.RUNNING:
            is_fresh = True
        elif isinstance(event, CheckpointWritten):
            saved = (event.epoch - 1) * (total // LENET["epochs"]) + event.batch
        elif isinstance(event, ProgressMade) and event.progress.phase == "training":
            position = event.progress.done
            if is_fresh and saved:
                assert position >= saved, "it began before its checkpoint"
                is_fresh = False
    assert saved > 0, "no checkpoint was written"
    assert position == total
    epochs = [event.metrics.epoch for event in events if isinstance(event, EpochFinished)]
    assert set(epochs) == set(range(1, LENET["epochs"] + 1))
    # Only what came after the last checkpoint was done twice.
    assert all(after >= before for before, after in pairwise(epochs))


def train_undisturbed(client: convnest.Client) -> str:
    """The digest that LENET comes to when nothing happens."""
    return weights_digest(client.train(**LENET, model="undisturbed").wait(timeout_s=120))
