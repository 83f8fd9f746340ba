"""The embedded stack outlives the death of either Redis, and the loss of all records."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import convnest
import psutil
import pytest
from convnest import JobState
from convnest_store.connection import connect
from support.process_tree import SLICE, running_module, still_there
from support.training_runs import LENET, QUICK, events_of, starts, wait_for_checkpoint
from support.up import Up
from support.waiting import until


@dataclass(frozen=True)
class Standing:
    """A stack with a dataset and a model, shared by the tests of this file."""

    up: Up
    address: str
    client: convnest.Client
    picture: bytes
    label: str

    def classifies(self, model: str) -> bool:
        """Whether the model tells what is on the picture; the SDK rides over a restart."""
        return self.client.classify(model, self.picture)[0].label == self.label


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    up = Up(tmp_path_factory.mktemp("standing") / "data")
    try:
        address = up.wait_ready()
        with convnest.connect(address) as client:
            client.datasets.add("digits", builtin="digits").wait(timeout_s=60)
            job = client.train(**{**QUICK, "epochs": 10}, model="kept").wait(timeout_s=60)
            assert job.state is JobState.SUCCEEDED
            client.models.set_alias("kept", "stable", 1)
            sample = client.datasets.sample("digits", count=1, split="test")[0]
            yield Standing(up, address, client, sample.png, sample.label)
    finally:
        up.close()


@pytest.mark.parametrize("part", ["redis-state", "redis-queue"])
def test_a_killed_redis_comes_back_and_nothing_is_lost_or_started_twice(
    standing: Standing, part: str
) -> None:
    client = standing.client
    assert standing.classifies("kept")
    running = client.train(**LENET, model=f"during-{part}")
    waiting = client.train(**QUICK, model=f"behind-{part}")
    wait_for_checkpoint(running)
    slice_ = _slice(standing.up)
    standing.up.kill_part(part)
    after = client.train(**QUICK, model=f"after-{part}")
    assert {model.name for model in client.models.list()} >= {"kept"}
    assert standing.classifies("kept")
    assert still_there([slice_]), "the job that ran still does, in its process"
    for job in (running, waiting, after):
        ended = job.wait(timeout_s=90)
        assert ended.state is JobState.SUCCEEDED
        assert ended.failures == ()
        assert starts(events_of(job)) == 1
    assert standing.classifies(f"during-{part}")


def test_an_emptied_state_redis_is_filled_again_from_what_is_stored(standing: Standing) -> None:
    client = standing.client
    with connect(standing.up.state_url(), decode=True) as state:
        state.flushall()
    assert list(client.models.list()) == []
    command = [sys.executable, "-m", "convnest.cli", "--server", standing.address]
    run = subprocess.run(
        [*command, "gc", "--rebuild", "--json"], capture_output=True, text=True, timeout=90
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["result"]["problems"] == []
    assert client.models.get("kept").aliases == {"stable": 1}
    assert client.models.version("kept@stable").dataset == "digits"
    assert standing.classifies("kept@stable")
    again = client.train(**QUICK, model="kept").wait(timeout_s=60)
    assert again.state is JobState.SUCCEEDED
    assert client.models.get("kept").latest_version == 2


def _slice(up: Up) -> psutil.Process:
    found = until(
        lambda: running_module(up.pid_of("worker-1"), SLICE), within_s=20, what="a slice runs"
    )
    return found[0]
