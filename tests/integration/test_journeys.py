"""The two journeys of the design, over a real Redis, a real Celery worker and a real channel."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import convnest
import pytest
from support.processes import Fleet

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_digits_are_ingested_trained_on_and_classified(fleet: Fleet) -> None:
    fleet.start_server()
    fleet.start_worker()
    with convnest.connect(fleet.address) as client:
        client.datasets.add("digits", builtin="digits").wait()
        job = client.train(dataset="digits", network="lenet", model="digits", epochs=3)
        cursors = [event.cursor for event in job.watch()]
        assert all(before < after for before, after in pairwise(cursors))
        samples = client.datasets.sample("digits", count=10, split="test")
        answers = client.classify("digits", [sample.png for sample in samples])
    right = sum(
        answer.label == sample.label for answer, sample in zip(answers, samples, strict=True)
    )
    assert right >= 8


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_documented_job_files_are_accepted(fleet: Fleet, example: Path) -> None:
    fleet.start_server()
    fleet.start_worker()
    with convnest.connect(fleet.address) as client:
        client.datasets.add("digits", builtin="digits").wait()
        command = [sys.executable, "-m", "convnest.cli", "--server", fleet.address]
        subprocess.run([*command, "train", "-f", str(example), "--validate-only"], check=True)


def test_a_listed_network_is_accepted_or_says_what_images_it_takes(fleet: Fleet) -> None:
    fleet.start_server()
    fleet.start_worker()
    with convnest.connect(fleet.address) as client:
        client.datasets.add("digits", builtin="digits").wait()
        answers = {kind.name: _answer(client, kind.name) for kind in client.networks().networks}
    accepted = {name for name, answer in answers.items() if answer == ""}
    assert accepted >= {"lenet", "mlp", "convnet"}
    assert all("takes images from" in answers[name] for name in answers.keys() - accepted)


def _answer(client: convnest.Client, network: str) -> str:
    """Why the network is refused for the digits; "" where it is not."""
    try:
        spec = convnest.TrainSpec(dataset="digits", network=network, model="any")
        client.jobs.validate(spec)
    except convnest.InvalidArgument as error:
        return str(error)
    return ""
