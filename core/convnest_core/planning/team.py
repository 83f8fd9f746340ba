"""`TeamPlan`: a plan whose batches are split over processes, by images."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Shape, shown
from convnest_core.errors import DTypeError, ShapeError, TeamError
from convnest_core.team import Team
from convnest_core.team.replica import Replica

from .compiled import Plan, plan

_PROGRAM = "convnest_core.planning.team:PlannedReplica"


class PlannedReplica(Replica):
    """One member's plan, for its share of a batch."""

    _plan: Plan

    def compile(self) -> None:
        """Plan the network with the parameters and buffers that it has now."""
        self.take_buffers()
        most = -(-len(self.images) // self._member.size)
        self._plan = plan(self.module, self.images.shape[1:], max_batch=most)

    def evaluate(self, images: int) -> None:
        """The outputs of the first `images` images."""
        batch = self._member.batch(images)
        if batch.rows.start < batch.rows.stop:
            self.outputs[batch.rows] = self._plan(self.images[batch.rows])


class TeamPlan:
    """A compiled network in `processes`, this one among them: `plan(x)` for 1 … max_batch images.

    `network`, `classes` and `shape` are as for `TeamTrainer`, `state` is a trained module's;
    without it the weights are random. A batch is split by images, so one of fewer images than
    processes leaves some of them idle. Calls from several threads take turns.
    """

    def __init__(
        self,
        network: Mapping[str, object],
        state: Mapping[str, npt.NDArray[np.generic]] | None = None,
        *,
        classes: int,
        shape: Shape,
        processes: int,
        max_batch: int,
        **team: Any,  # `start` and `spin` of `Team`
    ) -> None:
        arguments = {
            "network_spec": dict(network),
            "classes": classes,
            "shape": list(shape),
            "seed": 0,
            "dtype": "float32",
            "batch": max_batch,
            "frozen": [],
            "loss": "convnest_core.losses:softmax_cross_entropy",
            "optimizer": None,
        }
        self._turn = threading.Lock()
        self._team = Team(processes, _PROGRAM, arguments, **team)
        try:
            replica = self._replica
            if state is not None:
                replica.module.load_state(state)
            replica.stage_buffers()
            self._team.run("compile")
        except BaseException:
            self.close()
            raise

    def __call__(self, x: Array) -> Array:
        """Map x [N, *shape] to y [N, classes], which is the caller's; x is only read."""
        replica = self._replica
        if x.dtype != np.float32:
            raise DTypeError(f"the plan is in float32, got {x.dtype}")
        if x.shape[1:] != replica.images.shape[1:] or not 1 <= len(x) <= len(replica.images):
            raise ShapeError(
                f"the plan takes a batch of 1 to {len(replica.images)} × "
                f"{shown(replica.images.shape[1:])}, got an array of {shown(x.shape)}"
            )
        with self._turn:
            replica.set_images(x)
            self._team.run("evaluate", images=len(x))
            return replica.outputs[: len(x)].copy()

    def close(self) -> None:
        """End the other processes."""
        self._team.close()

    def __enter__(self) -> TeamPlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _replica(self) -> PlannedReplica:
        replica: PlannedReplica | None = self._team.program
        if replica is None:
            raise TeamError("the team is closed")
        return replica
