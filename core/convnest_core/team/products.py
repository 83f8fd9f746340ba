"""The gradient of a matrix in a team, which exchanges the factors and not the product.

A linear layer's gradient is Xᵀ · dY over the whole batch. Where the matrix is larger than X and dY,
every member puts its images' rows of both where all see them; when all have met, each forms the
product for its own rows of the matrix, a tile at a time. Nobody zeroes, adds or holds a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator

from convnest_core.arrays import Array, Integers
from convnest_core.kernels import multiply
from convnest_core.kernels.scratch import scratch
from convnest_core.parameters import row_tiles

from .member import Batch, Member


class SharedProducts:
    """The factors of one matrix' gradient, for batches of up to `images`.

    A layer that is used again in the same pass finds its place taken: that product every member
    adds up for its own images, in its part of `gradients` [members, in, out]. `uses` is a shared
    array of one number.
    """

    def __init__(self, member: Member, images: int, *, gradients: Array, uses: Integers) -> None:
        _, inputs, outputs = gradients.shape
        self.own = member.share(inputs)
        self._rank = member.rank
        self._gradients, self._uses = gradients, uses
        self._x: Array = member.array((images, inputs), gradients.dtype)
        self._dy: Array = member.array((images, outputs), gradients.dtype)
        self._rows: slice | None = None
        self._taken = 0

    @staticmethod
    def pay(images: int, inputs: int, outputs: int) -> bool:
        """Whether the factors are smaller than the product."""
        return images * (inputs + outputs) < inputs * outputs

    def begin(self, batch: Batch) -> None:
        """From now on take the factors of this batch."""
        self._rows, self._taken = batch.rows, 0
        if self._rank == 0:
            self._uses[0] = 0

    def take(self, x: Array, dy: Array) -> bool:
        if self._rows is None:
            return False
        self._taken += 1
        if self._rank == 0:  # it has images in every batch, and the others pass as it does
            self._uses[0] = self._taken
        if self._taken > 1:
            if self._taken == 2:
                self._gradients[self._rank].fill(0)
            return False
        self._x[self._rows] = x
        self._dy[self._rows] = dy
        return True

    def tiles(self, batch: Batch) -> Iterator[tuple[slice, Array]]:
        """When all have met: parts of this member's rows, flat, each with its gradient.

        A gradient is valid until the next one is asked for. Nothing is taken any more.
        """
        self._rows = None
        uses = int(self._uses[0])
        x, dy = self._x[: batch.images], self._dy[: batch.images]
        columns = dy.shape[1]
        for rows in row_tiles(self.own, columns):
            shape = (rows.stop - rows.start, columns)
            gradient = scratch("team.product", shape, dy.dtype)
            if uses:
                multiply(x[:, rows].T, dy, out=gradient)
            else:
                gradient.fill(0)
            if uses > 1:
                for others in self._gradients[: batch.members]:
                    gradient += others[rows]
            first = (rows.start - self.own.start) * columns
            yield slice(first, first + gradient.size), gradient.reshape(-1)
