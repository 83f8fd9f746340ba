"""A training that is stopped anywhere, any number of times, comes to the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convnest_core.augmentation import AUGMENTATIONS
from convnest_core.recipe import OPTIMIZERS, SCHEDULES, complete
from convnest_store.datasets import Dataset
from convnest_worker.channel import Stopped
from convnest_worker.checkpoint import read_checkpoint, write_checkpoint
from convnest_worker.training import Diverged, Trained, TrainingState, train
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Spec = dict[str, Any]


@dataclass
class Stopping:
    """Stops after so many batches, with the state of then."""

    after: int = -1
    state: TrainingState | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def between_batches(self, state: Callable[[], TrainingState]) -> None:
        self.after -= 1
        if self.after == 0:
            self.state = state()
            raise Stopped


def digest(trained: Trained) -> str:
    content = hashlib.sha256()
    for name, array in sorted(trained.model.items()):
        content.update(f"{name} {array.dtype} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def timeless(history: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history]


@pytest.fixture(scope="session")
def undisturbed(spec: Spec, data: Dataset) -> Trained:
    return train(spec, data, state=None, control=Stopping())


def interrupted(spec: Spec, data: Dataset, stops: Sequence[int], path: Path) -> Trained:
    """Stopped after so many batches, each time gone on from a file."""
    state: TrainingState | None = None
    for after in stops:
        control = Stopping(after)
        try:
            return train(spec, data, state=state, control=control)
        except Stopped:
            assert control.state is not None
            write_checkpoint(control.state, path)
            state = read_checkpoint(path)
    return train(spec, data, state=state, control=Stopping())


@pytest.mark.parametrize("stops", [[1], [4], [5], [6], [14], [1] * 14, [3, 2, 5]])
def test_a_training_goes_on_to_the_same_bits(
    spec: Spec, data: Dataset, undisturbed: Trained, tmp_path: Path, stops: list[int]
) -> None:
    resumed = interrupted(spec, data, stops, tmp_path / "checkpoint")
    assert digest(resumed) == digest(undisturbed)
    assert timeless(resumed.history) == timeless(undisturbed.history)
    assert resumed.test_accuracy == undisturbed.test_accuracy


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1, 14), min_size=1, max_size=4))
def test_wherever_it_is_stopped(
    spec: Spec, data: Dataset, undisturbed: Trained, tmp_path: Path, stops: list[int]
) -> None:
    assert digest(interrupted(spec, data, stops, tmp_path / "c")) == digest(undisturbed)


def test_another_seed_comes_to_other_bits(spec: Spec, data: Dataset, undisturbed: Trained) -> None:
    other = train({**spec, "seed": 12}, data, state=None, control=Stopping())
    assert digest(other) != digest(undisturbed)


def test_each_epoch_is_told_once_and_in_order(spec: Spec, data: Dataset) -> None:
    control = Stopping()
    trained = train(spec, data, state=None, control=control)
    told = [data for kind, data in control.events if kind == "epoch"]
    assert told == trained.history
    assert [epoch["epoch"] for epoch in told] == [1, 2, 3]
    progress = [data for kind, data in control.events if kind == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"]
    assert {data["total"] for data in progress} == {progress[-1]["total"]}


def test_a_snapshot_is_not_changed_by_what_comes_after(spec: Spec, data: Dataset) -> None:
    control = Keeping()
    train({**spec, "epochs": 1}, data, state=None, control=control)
    first, copy = control.kept[0]
    for name, array in copy.items():
        np.testing.assert_array_equal(first.model[name], array)


@dataclass
class Keeping:
    """Keeps each state and a copy of what it was then."""

    kept: list[tuple[TrainingState, dict[str, Any]]] = field(default_factory=list)

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        pass

    def between_batches(self, state: Callable[[], TrainingState]) -> None:
        now = state()
        self.kept.append((now, {name: array.copy() for name, array in now.model.items()}))


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ({"name": "sgd", "nesterov": True}, {"name": "one_cycle"}),
        ({"name": "adam"}, {"name": "plateau", "patience": 0, "threshold": 0.5}),
        ({"name": "adamw"}, {"name": "cosine", "warmup_epochs": 0.5}),
        ({"name": "rmsprop", "momentum": 0.5}, {"name": "step", "every_epochs": 1}),
    ],
)
def test_every_recipe_goes_on_to_the_same_bits(
    spec: Spec, data: Dataset, tmp_path: Path, optimizer: Spec, schedule: Spec
) -> None:
    recipe_spec = {
        **spec,
        "optimizer": complete(OPTIMIZERS, optimizer, default="")[0],
        "schedule": complete(SCHEDULES, schedule, default="")[0],
        "label_smoothing": 0.1,
        "class_weights": {data.classes[0]: 2.0},
        "augment": [complete(AUGMENTATIONS, {"name": n}, default="")[0] for n in ("crop", "mixup")],
    }
    whole = train(recipe_spec, data, state=None, control=Stopping())
    parts = interrupted(recipe_spec, data, [1, 5, 6], tmp_path / "checkpoint")
    assert digest(parts) == digest(whole)
    assert timeless(parts.history) == timeless(whole.history)


def _worsening(spec: Spec) -> Spec:
    """Good in its first epoch, and then driven away."""
    return {
        **spec,
        "epochs": 6,
        "optimizer": {**spec["optimizer"], "learning_rate": 0.05, "momentum": 0.0},
        "schedule": {"name": "constant", "warmup_epochs": 0},
        "stop_patience": 2,
    }


def test_a_training_that_improves_no_more_ends_early(
    spec: Spec, data: Dataset, tmp_path: Path
) -> None:
    spec = {**_worsening(spec), "optimizer": {**spec["optimizer"], "learning_rate": 1e-12}}
    trained = train(spec, data, state=None, control=Stopping())
    assert (trained.epoch, len(trained.history)) == (3, 3)
    parts = interrupted(spec, data, [3, 4, 5], tmp_path / "checkpoint")
    assert digest(parts) == digest(trained)


@pytest.mark.parametrize("stops", [[], [4, 9, 2]])
def test_the_best_epochs_weights_are_kept(
    spec: Spec, data: Dataset, tmp_path: Path, stops: list[int]
) -> None:
    spec = {**_worsening(spec), "keep": "best", "stop_patience": 0}
    trained = interrupted(spec, data, stops, tmp_path / "checkpoint")
    accuracies = [epoch["validation_accuracy"] for epoch in trained.history]
    best = accuracies.index(max(accuracies)) + 1
    assert trained.epoch == best
    assert trained.validation.accuracy == max(accuracies)
    alone = train({**spec, "epochs": best, "keep": "last"}, data, state=None, control=Stopping())
    assert digest(trained) == digest(alone)


def test_the_schedule_decides_how_far_a_step_goes(spec: Spec, data: Dataset) -> None:
    optimizer = {**spec["optimizer"], "momentum": 0.0, "weight_decay": 0.0}
    spec = {**spec, "optimizer": optimizer}
    schedule = {"name": "step", "warmup_epochs": 0, "every_epochs": 1, "factor": 1e-9}
    once = train({**spec, "epochs": 1}, data, state=None, control=Stopping())
    thrice = train({**spec, "schedule": schedule}, data, state=None, control=Stopping())
    name = "layers.0.weight"
    np.testing.assert_allclose(thrice.model[name], once.model[name], rtol=1e-5)


def test_the_squared_loss_trains_too(spec: Spec, data: Dataset) -> None:
    optimizer = {**spec["optimizer"], "learning_rate": 0.002}
    spec = {**spec, "loss": "squared", "optimizer": optimizer}
    trained = train(spec, data, state=None, control=Stopping())
    losses = [epoch["train_loss"] for epoch in trained.history]
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_training_that_diverges_says_so(spec: Spec, data: Dataset) -> None:
    spec = {**spec, "optimizer": {**spec["optimizer"], "learning_rate": 1e5}, "loss": "squared"}
    with pytest.raises(Diverged, match=r"not finite .* of epoch \d: .* smaller learning rate"):
        train(spec, data, state=None, control=Stopping())
