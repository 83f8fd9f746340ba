"""Training as a plain function: a spec, data and a state in; events and a trained state out.

It knows neither Celery nor Redis. Given the same spec and data it computes the same bits, whether
it ran through or went on from any of its states.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import convnest_core
import numpy as np
import numpy.typing as npt
from convnest_core import Run, build, network, recipe, shuffled, zero_grad
from convnest_core.optimizers import Optimizer
from convnest_core.rates import Rates
from convnest_store.datasets import Dataset
from convnest_store.registry import Preprocessing

from convnest_worker.criterion import evaluation_criterion, training_criterion
from convnest_worker.evaluation import Evaluation, evaluate
from convnest_worker.inputs import TrainingInputs
from convnest_worker.meter import Meter
from convnest_worker.preprocess import Normalisation, measure

Arrays = dict[str, npt.NDArray[Any]]  # parameters, buffers and optimizer state by name


class Diverged(Exception):
    """The loss is no longer a number: going on would train nothing."""


@dataclass
class TrainingState:
    """Where a training stands: enough to go on to the same bits."""

    epoch: int = 0
    """Epochs finished."""
    batch: int = 0
    """Batches done in the epoch after those."""
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    schedule: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    """The epoch of the best validation accuracy so far; the first of several; 0: none yet."""
    model: Arrays = field(default_factory=dict)
    optimizer: Arrays = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)
    """The model of `best_epoch`, where the spec says to keep that."""


class Control(Protocol):
    """What a training asks of whoever runs it."""

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Tells of an event: "progress" or "epoch"."""

    def between_batches(self, state: Callable[[], TrainingState]) -> None:
        """Called after each batch; may save the state, and may raise to stop the training."""


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    model: Arrays
    epoch: int
    """The one that the model is of."""
    preprocessing: Preprocessing
    history: list[dict[str, float]]
    validation: Evaluation
    test_accuracy: float | None
    parameters: int


def train(
    spec: dict[str, Any], data: Dataset, *, state: TrainingState | None, control: Control
) -> Trained:
    """Trains spec["network"] on `data` from `state` (None: from the beginning) to the last epoch.

    spec: a complete training spec, as the job record holds it.
    Raises what `control` raises, CoreError where the state is another network's, and Diverged.
    """
    return _Training(spec, data, control, state).run()


class _Training:
    def __init__(
        self,
        spec: dict[str, Any],
        data: Dataset,
        control: Control,
        state: TrainingState | None,
    ) -> None:
        self._spec, self._data, self._control = spec, data, control
        self._seed = int(spec["seed"])
        self._rows, self._validation_rows = data.split(
            seed=self._seed, validation_fraction=spec["validation_fraction"]
        )
        self.preprocessing = measure(data.images[self._rows], data.shape)
        self._normalisation = Normalisation.of(self.preprocessing)
        self._inputs = TrainingInputs(data, spec, self.preprocessing, rows=self._rows)
        self._module = network(spec["network"], classes=len(data.classes))
        shape = (data.shape.height, data.shape.width, data.shape.channels)
        build(self._module, shape, seed=self._seed)
        self._optimizer = _optimizer(spec["optimizer"], self._module)
        self._loss = training_criterion(spec, data.classes)
        self._plain_loss = evaluation_criterion(spec)
        self._batches: int = -(-len(self._rows) // spec["batch_size"])
        self._rates = Rates(
            spec.get("schedule", {"name": "constant"}),
            rate=self._optimizer.learning_rate,
            steps_per_epoch=self._batches,
            epochs=spec["epochs"],
        )
        self._state = state or TrainingState()
        if state is not None:
            self._module.load_state(state.model)
            self._optimizer.load_state(state.optimizer)
            self._rates.load_state(state.schedule)
        self._meter = Meter(self._position(), self._batches * spec["epochs"])

    def run(self) -> Trained:
        state = self._state
        while state.epoch < self._spec["epochs"] and not self._gave_up():
            self._epoch()
        epoch = state.epoch
        if self._keeps_best and state.best_epoch < epoch:
            epoch = state.best_epoch
            self._module.load_state(state.best)
        data = self._data
        test = self._evaluate(data.test_images, data.test_labels) if len(data.test_labels) else None
        return Trained(
            model=self._module.state(),
            epoch=epoch,
            preprocessing=self.preprocessing,
            history=state.history,
            validation=self._validate(),
            test_accuracy=test.accuracy if test else None,
            parameters=sum(p.value.size for p in self._module.parameters().values()),
        )

    @property
    def _keeps_best(self) -> bool:
        return self._spec.get("keep") == "best"

    def _gave_up(self) -> bool:
        """Whether the validation accuracy has not improved for as long as the spec waits."""
        patience = self._spec.get("stop_patience", 0)
        return bool(patience) and self._state.epoch - self._state.best_epoch >= patience

    def _epoch(self) -> None:
        state, started = self._state, time.monotonic()
        before = state.seconds
        order = self._rows[shuffled(len(self._rows), seed=self._seed, epoch=state.epoch)]
        size = self._spec["batch_size"]
        while state.batch < self._batches:
            self._step(order[state.batch * size : (state.batch + 1) * size])
            state.batch += 1
            state.seconds = before + time.monotonic() - started
            if self._meter.due():
                self._progress()
            # The last batch's state is saved with the epoch's metrics, after the validation.
            if state.batch < self._batches:
                self._control.between_batches(self._snapshot)
        found = self._validate()
        self._check_loss(found.loss)
        metrics = {
            "epoch": state.epoch + 1,
            "train_loss": state.loss_sum / state.seen,
            "train_accuracy": state.correct / state.seen,
            "validation_loss": found.loss,
            "validation_accuracy": found.accuracy,
            "validation_top5": found.top5,
            "learning_rate": self._optimizer.learning_rate,
            "seconds": before + time.monotonic() - started,
        }
        self._progress()
        self._rates.epoch_ended(found.accuracy)
        state.history.append(metrics)
        state.epoch, state.batch = state.epoch + 1, 0
        state.loss_sum, state.correct, state.seen, state.seconds = 0.0, 0, 0, 0.0
        self._remember_best(found.accuracy)
        self._control.emit("epoch", metrics)
        if state.epoch < self._spec["epochs"] and not self._gave_up():
            self._control.between_batches(self._snapshot)

    def _remember_best(self, accuracy: float) -> None:
        state = self._state
        if state.best_epoch:
            best = state.history[state.best_epoch - 1]["validation_accuracy"]
            if accuracy <= best:
                return
        state.best_epoch = state.epoch
        if self._keeps_best:
            state.best = self._module.state()

    def _step(self, rows: npt.NDArray[np.int64]) -> None:
        labels = self._data.labels[rows]
        x, targets = self._inputs.batch(rows, epoch=self._state.epoch)
        run = Run(
            training=True,
            seed=self._seed,
            epoch=self._state.epoch,
            samples=rows,
            input_gradient=False,
            criterion=lambda logits: self._loss(logits, targets),  # of auxiliary heads
        )
        zero_grad(self._module)
        logits, backward = self._module.forward(x, run)
        loss, dlogits = self._loss(logits, targets)
        self._check_loss(loss)
        backward(dlogits)
        self._optimizer.learning_rate = self._rates(self._position())
        self._optimizer.step()
        self._state.loss_sum += loss * len(rows)
        self._state.correct += _correct(logits, labels)
        self._state.seen += len(rows)
        self._meter.count(len(rows))

    def _check_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss is not finite ({loss}) in batch {self._state.batch + 1} of epoch "
                f"{self._state.epoch + 1}: the training diverged; try a smaller learning rate "
                f"than {self._optimizer.learning_rate:g}"
            )

    def _validate(self) -> Evaluation:
        rows = self._validation_rows
        return self._evaluate(self._data.images[rows], self._data.labels[rows])

    def _evaluate(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Evaluation:
        return evaluate(
            self._module,
            lambda part: self._normalisation.pixels(images[part]),
            labels,
            loss=self._plain_loss,
            classes=len(self._data.classes),
            after_batch=lambda: self._control.emit("alive", {}),
        )

    def _snapshot(self) -> TrainingState:
        return replace(
            self._state,
            history=list(self._state.history),
            schedule=self._rates.state(),
            model=self._module.state(),
            optimizer=self._optimizer.state(),
        )

    def _position(self) -> int:
        return self._state.epoch * self._batches + self._state.batch

    def _progress(self) -> None:
        state, epochs = self._state, self._spec["epochs"]
        speed, left = self._meter.read(self._position())
        self._control.emit(
            "progress",
            {
                "phase": "training",
                "done": self._position(),
                "total": self._batches * epochs,
                "epoch": state.epoch + 1,
                "epochs": epochs,
                "loss": state.loss_sum / max(state.seen, 1),
                "images_per_second": speed,
                "seconds_left": left,
            },
        )


def _optimizer(spec: dict[str, Any], module: convnest_core.Module) -> Optimizer:
    settings = {name: value for name, value in spec.items() if name != "name"}
    kind = getattr(convnest_core, recipe.OPTIMIZER_CLASSES[spec["name"]])
    optimizer: Optimizer = kind(module.parameters(), **settings)
    return optimizer


def _correct(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> int:
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))
