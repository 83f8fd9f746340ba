"""What a person meets who gets it wrong: the SDK's exceptions and the command's one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import convnest
import numpy as np
import pytest
from convnest.cli.__main__ import main
from support.api import MAX_MESSAGE_BYTES, Api
from support.payloads import arrays, npz, picture, png_bomb
from support.processes import Fleet

Fail = Callable[..., str]


@pytest.fixture
def client(served: Fleet) -> Iterator[convnest.Client]:
    with convnest.connect(served.address) as client:
        yield client


@pytest.fixture
def fail(served: Fleet, capsys: pytest.CaptureFixture[str]) -> Fail:
    """Runs one command that is to fail; returns its line without `error: `."""

    def fail(*arguments: object) -> str:
        assert main(["--server", served.address, *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error.removeprefix("error: ").rstrip("\n")

    return fail


def test_the_sdk_tells_every_field_at_once(client: convnest.Client, digits: str) -> None:
    with pytest.raises(convnest.InvalidArgument) as caught:
        client.train(dataset=digits, network="lenett", model="A/B", epochs=0, batch_size=10_000)
    assert {violation.field for violation in caught.value.violations} == {
        "spec.network.name",
        "spec.model",
        "spec.epochs",
        "spec.batch_size",
    }
    assert "did you mean 'lenet'?" in str(caught.value)


def test_the_sdk_tells_what_does_not_exist(client: convnest.Client, model: str) -> None:
    with pytest.raises(convnest.NotFound, match=r"dataset digitz .*did you mean digits\?"):
        client.train(dataset="digitz", network="lenet", model="m")
    with pytest.raises(convnest.NotFound, match=r"model readre .*did you mean reader\?"):
        client.classify("readre", [np.zeros((28, 28), np.uint8)])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 5, 3), np.uint8), r"images\[0\].tensor.shape: must be \(28, 28, 1\)"),
        (np.full((28, 28, 1), np.nan, np.float32), r"images\[0\].tensor: float32 pixels"),
        (b"text", r"images\[0\].encoded: not an image"),
        (png_bomb(50_000), r"images\[0\].encoded: 50000×50000 pixels"),
    ],
)
def test_the_sdk_tells_which_image_is_at_fault(
    client: convnest.Client, model: str, image: object, message: str
) -> None:
    with pytest.raises(convnest.InvalidArgument, match=message):
        client.classify(model, [image])  # type: ignore[list-item]


def test_the_sdk_tells_of_a_message_over_the_limit(client: convnest.Client, model: str) -> None:
    with pytest.raises(convnest.ResourceExhausted, match="larger than max"):
        client.classify(model, [bytes(MAX_MESSAGE_BYTES + 1)])


def test_the_sdk_tells_why_a_dataset_failed(
    client: convnest.Client, tmp_path: Path, fresh_name: str
) -> None:
    path = tmp_path / "one-class.npz"
    path.write_bytes(npz(**{**arrays(), "labels": np.zeros(8, np.int64)}))
    job = client.datasets.add(fresh_name, path).wait()
    assert job.state is convnest.JobState.FAILED
    assert job.error is not None
    assert (job.error.reason, job.error.field) == ("DATASET_REJECTED", "classes")
    assert "at least 2" in job.error.message
    assert fresh_name not in {dataset.name for dataset in client.datasets.list()}


def test_the_command_says_it_in_one_line(
    fail: Fail, api: Api, digits: str, model: str, tmp_path: Path
) -> None:
    text, good = tmp_path / "cat.jpg", tmp_path / "good.png"
    text.write_text("not a cat")
    good.write_bytes(picture(0, 28, 28))
    train = ("train", "--dataset", digits, "--model", "m")
    assert "did you mean 'lenet'?" in fail(*train, "--network", "lenett")
    assert "spec.epochs: must be ≥ 1" in fail(*train, "--network", "lenet", "--epochs", 0)
    assert "did you mean digits?" in fail("dataset", "show", "digitz")
    assert "a name is 1 to 64 of" in fail("dataset", "show", "a/b")
    assert "did you mean reader?" in fail("models", "show", "raeder")
    assert "points to version 1" in fail("models", "rm", "reader:1")
    assert "not an image" in fail("classify", text, "--model", model)
    assert "no alias stabel; did you mean stable?" in fail(
        "classify", good, "--model", "reader@stabel"
    )
    assert "does not exist" in fail("jobs", "cancel", "nothing")
