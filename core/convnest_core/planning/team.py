"""`TeamPlan`: a plan whose batches, or whose single images, are split over processes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Shape, shown
from convnest_core.errors import DTypeError, ShapeError, TeamError
from convnest_core.kernels.planned import Packing, Share, alone
from convnest_core.team import Member, Team
from convnest_core.team.replica import Replica

from .compiled import Plan
from .graph import Value
from .packed import Filling, Finding, Measuring, expect_alike
from .program import Compiler, Program

_PROGRAM = "convnest_core.planning.team:PlannedReplica"


# For fewer images than members; for a member's images of a larger batch; for few of these.
_Programs: TypeAlias = tuple[Program | None, Program | None, Program | None]


class PlannedReplica(Replica):
    """One member's plans: of its images of a batch, and of its share of each of fewer images.

    Every member compiles, and the weights that the first one packs are everybody's.
    """

    _few: Program | None  # for fewer images than members
    _many: Plan | None  # for one member's images of a larger batch
    _arrays: dict[Value, Array]

    def __init__(self, member: Member, **arguments: Any) -> None:
        super().__init__(member, **arguments)
        sizes = member.array((2,), np.int64)
        if member.rank == 0 and member.size > 1:  # constructed before all others
            # Other weights are packed later, but to the same sizes.
            measuring = Measuring()
            few, *_ = self._programs(measuring)
            sizes[:] = measuring.size_bytes, few.layout.arena_bytes if few else 0
        room, arena = sizes.tolist()
        self._room = member.array((room,), np.uint8)
        self._arena = member.array((arena,), np.uint8)

    def compile(self) -> None:
        """Plan the network with the parameters and buffers that it has now."""
        self.take_buffers()
        self._few = self._many = None  # their weights are overwritten
        if self._member.rank == 0:
            programs = self._compiled(Filling(self._room) if self._member.size > 1 else alone)
            self._member.barrier()
        else:
            self._member.barrier()
            programs = self._compiled(Finding(self._room))
        self._few, many, small = programs
        few = self._few
        self._arrays = few.layout.arrays(few.dtype, self._arena) if few else {}
        self._many = Plan(many, small) if many else None

    def evaluate(self, images: int) -> None:
        """The outputs of the first `images` images."""
        if images < self._member.size:
            self._share(images)
            return
        batch = self._member.batch(images)
        assert self._many is not None
        self.outputs[batch.rows] = self._many(self.images[batch.rows])

    def _share(self, images: int) -> None:
        program, member = self._few, self._member
        assert program is not None
        arrays = {**self._arrays, program.input: self.images[:images]}
        program.run(arrays, images, share=Share(member.rank, member.size), meet=member.barrier)
        member.barrier()
        if member.rank == 0:
            self.outputs[:images] = arrays[program.output][:images]

    def _compiled(self, pack: Packing) -> _Programs:
        programs = self._programs(pack)
        expect_alike(repr([program and program.layers for program in programs]), pack)
        return programs

    def _programs(self, pack: Packing) -> _Programs:
        compiler = Compiler(self.module, pack)
        size, most = self._member.size, len(self.images)
        few = compiler.program(min(size - 1, most)) if size > 1 else None
        if most < size:
            return few, None, None
        own = -(-most // size)
        return few, compiler.program(own), compiler.small_program(own)


class TeamPlan:
    """A compiled network in `processes`, this one among them: `plan(x)` for 1 … max_batch images.

    `network`, `classes` and `shape` are as for `TeamTrainer`, `state` is a trained module's;
    without it the weights are random. A batch is split by images; one of fewer images than
    processes is split within each layer. Calls from several threads take turns.
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
    def pids(self) -> tuple[int, ...]:
        """The processes of the members, this one first."""
        return self._team.pids

    @property
    def _replica(self) -> PlannedReplica:
        replica: PlannedReplica | None = self._team.program
        if replica is None:
            raise TeamError("the team is closed")
        return replica
