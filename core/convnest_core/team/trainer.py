"""`TeamTrainer`: training and evaluation of one network, split over processes by images."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Integers, Shape, shown
from convnest_core.errors import CoreError, StateError, TeamError
from convnest_core.module import Module

from .replica import Replica
from .team import Start, Team

_PROGRAM = "convnest_core.team.replica:Replica"


class Step(NamedTuple):
    """What one training step found: the batch's mean loss, and its number of right answers."""

    loss: float
    correct: int


class TeamTrainer:
    """A network whose batches are split over `processes`, this one among them.

    With the same number of processes, machine and libraries the result is the same to the bit;
    another number of processes adds numbers up in another order and changes no more than that.
    Threads may share a trainer; their calls take turns.

    `network` and `classes` are as for `convnest_core.network`, `shape` is one image's, and `batch`
    the most images of one step. `loss` names a function `package.module:name` of logits and labels
    that returns the mean over the images (by `class_weights` in its options, if any) and its
    gradient; `optimizer` names a class with its options, or is None where nothing is trained;
    `frozen` are paths for `freeze`. Options are plain JSON. `start` and `spin` are `Team`'s.
    """

    def __init__(
        self,
        network: Mapping[str, object],
        *,
        classes: int,
        shape: Shape,
        seed: int,
        processes: int,
        batch: int,
        dtype: npt.DTypeLike = np.float32,
        loss: str = "convnest_core.losses:softmax_cross_entropy",
        loss_options: Mapping[str, Any] | None = None,
        optimizer: tuple[str, Mapping[str, Any]] | None = None,
        frozen: Sequence[str] = (),
        start: Start | None = None,
        spin: bool | None = None,
    ) -> None:
        self.batch = batch
        arguments = {
            "network_spec": dict(network),
            "classes": classes,
            "shape": list(shape),
            "seed": seed,
            "dtype": np.dtype(dtype).name,
            "batch": batch,
            "frozen": list(frozen),
            "loss": loss,
            "loss_options": dict(loss_options or {}),
            "optimizer": optimizer and [optimizer[0], dict(optimizer[1])],
        }
        self._lock = threading.Lock()
        self._team = Team(processes, _PROGRAM, arguments, start=start, spin=spin)

    def step(
        self,
        x: Array,
        labels: npt.NDArray[Any],  # what the loss takes
        *,
        samples: Integers,
        epoch: int = 0,
        seed: int = 0,
        learning_rate: float | None = None,
    ) -> Step:
        """One step of training on images x and their labels; `samples` as in `Run`.

        `learning_rate` is the optimizer's from now on.
        """
        replica = self._replica
        self._expect(x)
        if not len(x) == len(labels) == len(samples):
            raise CoreError(
                "a step takes a label and a sample index for each image, "
                f"got {len(x)} images, {len(labels)} labels, {len(samples)} indices"
            )
        with self._lock:
            replica.set_batch(x, labels, samples)
            loss, correct = self._team.run(
                "step",
                images=len(x),
                labels=[list(labels.shape), labels.dtype.str],
                seed=seed,
                epoch=epoch,
                learning_rate=learning_rate,
            )
        return Step(loss, correct)

    def __call__(self, x: Array) -> Array:
        """Evaluate: outputs for any number of images."""
        replica = self._replica
        parts = []
        for first in range(0, max(len(x), 1), self.batch):
            part = x[first : first + self.batch]
            self._expect(part)
            with self._lock:
                replica.set_images(part)
                self._team.run("evaluate", images=len(part))
                parts.append(replica.outputs[: len(part)].copy())
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    @property
    def images(self) -> Array:
        """Where a batch of images goes; one that is written here first needs no copying."""
        return self._replica.images

    @property
    def module(self) -> Module:
        """This process's replica. Its parameters are everybody's: read them between steps."""
        return self._replica.module

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the members, this one first."""
        return self._team.pids

    def state(self) -> dict[str, Array]:
        """As `Module.state`."""
        return self.module.state()

    def load_state(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """As `Module.load_state`, in all replicas."""
        self.module.load_state(arrays)
        self._replica.stage_buffers()
        self._team.run("take_buffers")

    def optimizer_state(self) -> dict[str, npt.NDArray[np.generic]]:
        """As `Optimizer.state` of a single process, put together from all members."""
        replica = self._replica
        state: dict[str, npt.NDArray[np.generic]] = {}
        for slot in self._slots():
            self._team.run("stage_slot", slot=slot)
            for name, array in replica.parameters.named(replica.staged_slot):
                state[f"{slot}.{name}"] = array.copy()
        return {**state, **self._steps()}

    def load_optimizer_state(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over what `optimizer_state` returned, of any number of processes; all or nothing.

        Raises StateError with the names that are missing, unexpected or mismatching.
        """
        replica, slots, steps = self._replica, self._slots(), self._steps()
        wanted = {
            f"{slot}.{name}": array
            for slot in slots
            for name, array in replica.parameters.named(replica.staged_slot)
        }
        _expect_like(arrays, {**wanted, **steps})
        count = int(arrays["steps"].item()) if steps else None
        for slot in slots:
            for name, array in replica.parameters.named(replica.staged_slot):
                array[...] = arrays[f"{slot}.{name}"]
            self._team.run("take_slot", slot=slot, steps=count)

    def close(self) -> None:
        """End the other processes. A module that was taken before keeps its parameters."""
        self._team.close()

    def __enter__(self) -> TeamTrainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _replica(self) -> Replica:
        replica: Replica | None = self._team.program
        if replica is None:
            raise TeamError("the team is closed")
        return replica

    def _expect(self, x: Array) -> None:
        self.module.expect(x)
        if len(x) > self.batch:
            raise CoreError(f"a step takes at most {self.batch} images, got {len(x)}")

    def _slots(self) -> list[str]:
        optimizer = self._replica.optimizer
        named = [] if optimizer is None else [name for name in optimizer.state() if "." in name]
        return list(dict.fromkeys(name.partition(".")[0] for name in named))

    def _steps(self) -> dict[str, npt.NDArray[np.generic]]:
        optimizer = self._replica.optimizer
        state = {} if optimizer is None else optimizer.state()
        return {name: array for name, array in state.items() if "." not in name}


def _expect_like(
    arrays: Mapping[str, npt.NDArray[np.generic]], wanted: Mapping[str, npt.NDArray[np.generic]]
) -> None:
    mismatching = [
        f"{name} ({problem})"
        for name, array in wanted.items()
        if name in arrays and (problem := _mismatch(arrays[name], array))
    ]
    missing = [name for name in wanted if name not in arrays]
    unexpected = [name for name in arrays if name not in wanted]
    if missing or unexpected or mismatching:
        raise StateError(
            "the stored state is not this optimizer's",
            missing=missing,
            unexpected=unexpected,
            mismatching=mismatching,
        )


def _mismatch(given: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> str:
    if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
        return f"{given.dtype} {shown(given.shape)}, not {wanted.dtype} {shown(wanted.shape)}"
    finite: npt.NDArray[np.bool] = np.isfinite(given)
    return "" if finite.all() else "holds NaN or infinity"
