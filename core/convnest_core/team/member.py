"""What one process of a team is to the code that runs in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, Shape

from .line import Line
from .memory import Take, array_in

_SLOT_BYTES = 1 << 16


class Member:
    """One of `size` processes that run the same operations at the same time.

    Shared arrays are taken while the program is constructed, by all members in the same order.
    `barrier`, `all_sum` and `batch` are called by all members in the same order.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        *,
        lines: Sequence[Line],
        take: Take,
        look_around: Callable[[], None] = lambda: None,
    ) -> None:
        self.rank, self.size = rank, size
        self._lines = lines
        self._take = take
        self._look_around = look_around
        self._slots = self.array((2, size, _SLOT_BYTES), np.uint8)
        self._turn = 0

    def array(self, shape: Shape, dtype: npt.DTypeLike) -> npt.NDArray[Any]:  # of any dtype
        """An array that all members share, all zeros at first."""
        wanted = np.dtype(dtype)
        return array_in(self._take(prod(shape) * wanted.itemsize), shape, wanted)

    def share(self, count: int, *, of: int | None = None) -> slice:
        """This member's part of `count` rows: contiguous, in the order of ranks, sizes within one.

        `of` is the number of members that take part (default: all of them).
        """
        members = of or self.size
        rows, extra = divmod(count, members)
        first = self.rank * rows + min(self.rank, extra)
        return slice(first, first + rows + (self.rank < extra))

    def barrier(self) -> None:
        """Wait until every member is here; each then sees what the others wrote before."""
        self.meet(self.size)

    def meet(self, members: int) -> None:
        """A barrier of the first `members` alone."""
        if self.rank == 0:
            lines = self._lines[: members - 1]
            for line in lines:
                line.wait(self._look_around)
            for line in lines:
                line.signal()
        elif self.rank < members:
            (line,) = self._lines
            line.signal()
            line.wait(self._look_around)

    def batch(self, images: int) -> Batch:
        """Split a batch of `images` over the members; one batch for each operation of a team.

        Between operations all members meet, so nobody reads the slots of the batch before.
        """
        self._turn = 0
        return Batch(self, images)

    def all_sum(self, array: Array, *, members: int) -> Array:
        """The arrays of the first `members`, added in the order of their ranks."""
        if members == 1:
            return array
        flat = array.reshape(-1)
        total = np.empty_like(flat)
        step = _SLOT_BYTES // flat.itemsize
        for first in range(0, flat.size, step):
            piece = flat[first : first + step]
            slots = self._slots[self._turn, :members, : piece.nbytes].view(piece.dtype)
            # One barrier is enough: the slots of the turn before are written to again only by
            # those who passed this turn's barrier, and nobody reads them by then.
            self._turn = 1 - self._turn
            slots[self.rank] = piece
            self.meet(members)
            out = total[first : first + step]
            np.add(slots[0], slots[1], out=out)
            for slot in slots[2:]:
                out += slot
        return total.reshape(array.shape)


class Batch:
    """One member's rows of a batch, and the sums over all of it: the `team` of a `Run`.

    A batch of fewer images than members is split over the first of them, an image each.
    """

    def __init__(self, member: Member, images: int) -> None:
        self._member = member
        self.members = min(member.size, images)  # that have rows
        self.images = images
        nothing = slice(images, images)
        within = member.rank < self.members
        self.rows = member.share(images, of=self.members) if within else nothing

    def all_sum(self, array: Array) -> Array:
        """The arrays of the members that have rows, added in the order of their ranks."""
        return self._member.all_sum(array, members=self.members)
