"""The learning rate of every step of a training, after its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .schedules import Constant, Cosine, OneCycle, ReduceOnPlateau, Schedule, Step


class Rates:
    """Follows a schedule (complete, see `recipe`) whose highest rate is the optimizer's own.

    `rates(step)` is a pure function but for the plateau, which looks at every epoch's end.
    """

    def __init__(
        self, schedule: Mapping[str, Any], *, rate: float, steps_per_epoch: int, epochs: int
    ) -> None:
        steps = steps_per_epoch * epochs
        self._warmup: int = round(schedule.get("warmup_epochs", 0) * steps_per_epoch)
        self._plateau: ReduceOnPlateau | None = None
        self._schedule: Schedule = Constant(rate)
        match schedule["name"]:
            case "step":
                every = max(1, round(schedule["every_epochs"] * steps_per_epoch))
                self._schedule = Step(rate, every, schedule["factor"])
            case "plateau":
                self._plateau = ReduceOnPlateau(
                    rate,
                    factor=schedule["factor"],
                    patience=schedule["patience"],
                    threshold=schedule["threshold"],
                    least=min(schedule["least_rate"], rate),
                )
            case "cosine":
                left = max(1, steps - self._warmup - 1)
                self._schedule = Cosine(rate, left, min(schedule["least_rate"], rate))
            case "one_cycle":
                self._schedule = OneCycle(
                    rate,
                    max(steps, 2),
                    schedule["rising"],
                    schedule["start_divisor"],
                    schedule["final_divisor"],
                )

    def __call__(self, step: int) -> float:
        """The rate of one step, counted from 0 over all epochs."""
        if step < self._warmup:
            return self._at(0) * (step + 1) / self._warmup
        return self._at(step - self._warmup)

    def epoch_ended(self, accuracy: float) -> None:
        """Look at the validation accuracy; only a plateau minds."""
        if self._plateau is not None:
            self._plateau.observe(1.0 - accuracy)

    def state(self) -> dict[str, float]:
        """What a resume needs, as JSON."""
        return {} if self._plateau is None else self._plateau.state()

    def load_state(self, state: Mapping[str, float]) -> None:
        """Take over what `state` returned. Raises StateError or SpecError."""
        if self._plateau is not None:
            self._plateau.load_state(state)

    def _at(self, step: int) -> float:
        rate: float = self._schedule(step) if self._plateau is None else self._plateau.rate
        return rate
