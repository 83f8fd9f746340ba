"""A checkpoint is whole and ours, or it is refused and the one before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convnest_core.kernels import kernel_set, use_kernels
from convnest_core.kernels.simd.machine import machine
from convnest_store.blobs import BlobStore, blob_store
from convnest_store.errors import BlobCorrupt
from convnest_worker.channel import Channel
from convnest_worker.checkpoint import differences, read_checkpoint, write_checkpoint
from convnest_worker.slice import train as slice_train
from convnest_worker.slice.context import Context
from convnest_worker.training import TrainingState

STATE = TrainingState(
    epoch=2,
    batch=3,
    loss_sum=0.1 + 0.2,
    correct=7,
    seen=24,
    seconds=1.5,
    history=[{"epoch": 1, "train_loss": 1 / 3}],
    model={"layers.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
    optimizer={"layers.0.weight": np.full((2, 3), 1e-30, np.float32)},
)


class Told(Channel):
    """Takes the place of the pipes."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


def test_a_checkpoint_holds_all_there_is_to_the_bit(tmp_path: Path) -> None:
    write_checkpoint(STATE, tmp_path / "c")
    back = read_checkpoint(tmp_path / "c")
    assert {**vars(back), "model": 0, "optimizer": 0} == {**vars(STATE), "model": 0, "optimizer": 0}
    for part in ("model", "optimizer"):
        assert getattr(back, part).keys() == getattr(STATE, part).keys()
        for name, array in getattr(STATE, part).items():
            assert getattr(back, part)[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b"position", b"positron"),
        lambda data: data.replace(b'\\"schema\\": 1', b'\\"schema\\": 9'),
        lambda data: data.replace(b'\\"epoch\\": 2', b'\\"apoch\\": 2'),
        lambda data: data.replace(b"model/", b"medel/"),
        lambda data: data.replace(b"F32", b"Q32"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "c"
    write_checkpoint(STATE, path)
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert path.read_bytes() != sound
    with pytest.raises(BlobCorrupt):
        read_checkpoint(path)


@pytest.fixture
def kernel_sets() -> Iterator[None]:
    """A test that uses both; the set of before computes afterwards."""
    if machine() is None:
        pytest.skip("there is one set of kernels here")
    before = kernel_set()
    yield
    use_kernels(before)


def stored(blobs: BlobStore, folder: Path, epoch: int) -> dict[str, Any]:
    write_checkpoint(TrainingState(epoch=epoch), folder / "c")
    blob = blobs.put_file(f"checkpoints/job-1/{epoch}", folder / "c")
    return {"blob": vars(blob), "epoch": epoch, "batch": 0}


def context_of(
    folder: Path, channel: Channel, blobs: BlobStore, checkpoints: list[dict[str, Any]]
) -> Context:
    return Context(
        channel=channel,
        blobs=blobs,
        scratch_root=folder,
        state_url="",
        job_id="job",
        attempt=2,
        spec={},
        inputs={"checkpoints": checkpoints},
    )


@pytest.mark.parametrize(
    ("spoil", "epoch", "warnings"),
    [((), 5, 0), (("cut",), 4, 1), (("gone",), 4, 1), (("cut", "gone"), None, 2)],
)
def test_a_spoilt_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, spoil: tuple[str, ...], epoch: int | None, warnings: int
) -> None:
    blobs = blob_store(str(tmp_path / "blobs"), cache_dir=tmp_path)
    checkpoints = [stored(blobs, tmp_path, 5), stored(blobs, tmp_path, 4)]
    for how, checkpoint in zip(spoil, checkpoints, strict=False):
        path = tmp_path / "blobs" / checkpoint["blob"]["key"]
        if how == "cut":
            path.write_bytes(path.read_bytes()[:-1])
        else:
            path.unlink()
    told = Told()
    state = slice_train._latest_state(context_of(tmp_path, told, blobs, checkpoints))
    assert (state.epoch if state else None) == epoch
    assert [message["event"] for message in told.messages] == ["log"] * warnings


@pytest.mark.parametrize(("wrote", "reads"), [("numpy", "simd"), ("simd", "numpy")])
def test_going_on_with_other_kernels_is_told(
    tmp_path: Path, kernel_sets: None, wrote: str, reads: str
) -> None:
    blobs = blob_store(str(tmp_path / "blobs"), cache_dir=tmp_path)
    use_kernels(wrote)
    checkpoints = [stored(blobs, tmp_path, 5)]
    same, told = Told(), Told()
    slice_train._latest_state(context_of(tmp_path, same, blobs, checkpoints))
    assert same.messages == []
    use_kernels(reads)
    state = slice_train._latest_state(context_of(tmp_path, told, blobs, checkpoints))
    assert state is not None
    assert state.epoch == 5
    (message,) = told.messages
    assert message["data"]["level"] == "warning"
    text = message["data"]["text"]
    assert "no longer bit-exact" in text
    assert f"kernels: {wrote}" in text
    assert f"→ {reads}" in text


def test_a_checkpoint_of_before_fingerprints_differs_in_nothing(tmp_path: Path) -> None:
    write_checkpoint(STATE, tmp_path / "c")
    sound = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(sound.replace(b'"fingerprint"', b'"fingerthing"'))
    assert differences(tmp_path / "c") == {}
