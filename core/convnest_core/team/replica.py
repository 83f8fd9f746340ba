"""The program of a `TeamTrainer`: every member computes its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Shape
from convnest_core.building import build, build_unfilled
from convnest_core.freezing import freeze
from convnest_core.module import Module
from convnest_core.optimizers import Optimizer
from convnest_core.run import Run
from convnest_core.spec import network

from .member import Batch, Member
from .shared_parameters import SharedParameters, buffers, staging
from .work import imported


class Replica:
    """One member's module; its parameters are everybody's, its gradients and buffers its own.

    `batch` is the most images of one call; the other arguments are those of `TeamTrainer`.
    """

    def __init__(
        self,
        member: Member,
        *,
        network_spec: Mapping[str, object],
        classes: int,
        shape: Sequence[int],
        seed: int,
        dtype: str,
        batch: int,
        frozen: Sequence[str],
        loss: str,
        optimizer: tuple[str, Mapping[str, Any]] | None,
        loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._member = member
        self.module: Module = network(network_spec, classes=classes)
        size = tuple(shape)
        wanted = np.dtype(dtype)
        if member.rank == 0:
            output = build(self.module, size, seed=seed, dtype=wanted)
        else:  # the first member's values are there already
            output = build_unfilled(self.module, size, dtype=wanted)
        for path in frozen:
            freeze(self.module, path)
        self._loss = partial(imported(loss), **(loss_options or {}))
        self.parameters = SharedParameters(member, self.module, wanted, images=batch)
        self._staged = staging(member, self.module)
        self.images: Array = member.array((batch, *size), wanted)
        self.outputs: Array = member.array((batch, *output), wanted)
        self._labels = member.array((batch * _label_bytes(output, wanted),), np.uint8)
        self._samples = member.array((batch,), np.int64)
        self._results = member.array((member.size, 2), np.float64)
        self.optimizer: Optimizer | None = None
        if optimizer is not None:
            name, options = optimizer
            self.optimizer = imported(name)(self.parameters.own_parameters(), **options)

    def set_batch(self, x: Array, labels: npt.NDArray[Any], samples: npt.NDArray[np.int64]) -> None:
        """Put a batch where all members see it (called by the first one alone)."""
        self.set_images(x)
        self._labels_as(labels.shape, labels.dtype.str)[...] = labels
        self._samples[: len(x)] = samples

    def set_images(self, x: Array) -> None:
        """Put images where all members see them; those that are there already stay."""
        if not np.may_share_memory(x, self.images):
            self.images[: len(x)] = x

    def evaluate(self, images: int) -> None:
        """The outputs of the first `images` images."""
        batch = self._member.batch(images)
        if batch.rows.start < batch.rows.stop:
            self.outputs[batch.rows] = self.module(self.images[batch.rows])

    def step(
        self, *, images: int, labels: list[Any], seed: int, epoch: int, learning_rate: float | None
    ) -> tuple[float, int]:
        """One step of training; returns the batch's mean loss and number of right answers.

        `labels` are their shape and dtype.
        """
        batch = self._member.batch(images)
        self.parameters.begin(batch)
        here = self._results[self._member.rank]
        here[:] = 0
        if batch.rows.start < batch.rows.stop:
            here[:] = self._pass(batch, self._labels_as(*labels), seed=seed, epoch=epoch)
        self._member.barrier()
        if self.optimizer is not None:
            if learning_rate is not None:
                self.optimizer.learning_rate = learning_rate
            self.optimizer.step_by(self.parameters.gradients_of(batch))
        loss = correct = 0.0
        for member_loss, member_correct in self._results.tolist():
            loss, correct = loss + member_loss, correct + member_correct
        return loss, int(correct)

    def _pass(
        self, batch: Batch, labels: npt.NDArray[Any], *, seed: int, epoch: int
    ) -> tuple[float, int]:
        """Forward and backward over this member's rows; returns its part of loss and answers."""
        rows = batch.rows
        own = labels[rows]
        part = self._weight(own) / self._weight(labels)
        if not part:  # over labels of weight zero there is no mean, but over distributions
            own = np.eye(self.outputs.shape[1], dtype=self.outputs.dtype)[own]
            part = len(own) / self._weight(labels)

        def criterion(logits: Array) -> tuple[float, Array]:
            loss, dlogits = self._loss(logits, own)
            # The means over members' rows, weighted, are the mean over the batch.
            return loss * part, dlogits if part == 1 else dlogits * dlogits.dtype.type(part)

        run = Run(
            training=True,
            seed=seed,
            epoch=epoch,
            samples=self._samples[rows],
            input_gradient=False,
            criterion=criterion,
            team=batch,
        )
        logits, backward = self.module.forward(self.images[rows], run)
        loss, dlogits = criterion(logits)
        backward(dlogits)
        answers = own if own.ndim == 1 else own.argmax(axis=1)
        return loss, int(np.count_nonzero(logits.argmax(axis=1) == answers))

    def _weight(self, labels: npt.NDArray[Any]) -> float:
        """What the loss' mean over these labels counts for in a mean over more."""
        class_weights = self._loss.keywords.get("class_weights")
        if class_weights is None or labels.ndim > 1:
            return float(len(labels))
        return float(np.asarray(class_weights, np.float64)[labels].sum())

    def stage_buffers(self) -> None:
        """Put the buffers where all members see them (called by the first one alone)."""
        for name, buffer in buffers(self.module).items():
            self._staged[name][...] = buffer

    def take_buffers(self) -> None:
        """Take over the first member's buffers."""
        for name, buffer in buffers(self.module).items():
            buffer[...] = self._staged[name]

    def stage_slot(self, slot: str) -> None:
        """Put one slot of the optimizer into the first member's gradients."""
        for name, array in self._optimizer_state().items():
            of, _, section = name.partition(".")
            if of == slot and section:
                self.parameters.own_part(section, self.staged_slot)[...] = array

    def take_slot(self, slot: str, steps: int | None) -> None:
        """Take one slot of the optimizer from the first member's gradients."""
        state = self._optimizer_state()
        for name in state:
            of, _, section = name.partition(".")
            if of == slot and section:
                state[name] = self.parameters.own_part(section, self.staged_slot)
        if steps is not None:
            state["steps"] = np.array([steps], np.int64)
        if self.optimizer is not None:
            self.optimizer.load_state(state)

    @property
    def staged_slot(self) -> Array:
        """Between steps nobody needs gradients: their memory takes a slot."""
        flat: Array = self.parameters.gradients[0]
        return flat

    def _optimizer_state(self) -> dict[str, npt.NDArray[Any]]:
        return {} if self.optimizer is None else dict(self.optimizer.state())

    def _labels_as(self, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._labels[:count].view(dtype).reshape(shape)


def _label_bytes(output: Shape, dtype: np.dtype[Any]) -> int:
    """Room for an integer or a distribution over the outputs, for each image."""
    return max(8, int(np.prod(output)) * dtype.itemsize)
