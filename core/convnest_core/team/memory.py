"""Memory that every member of a team sees, and that is gone when the last of them is.

It has no name anywhere, so nothing can be left behind, and a container's small `/dev/shm` does not
matter. Pages take memory from the first touch on.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Shape
from convnest_core.errors import TeamError

# Gives the next block of the given size. Members take the same blocks in the same order.
Take: TypeAlias = Callable[[int], mmap.mmap]


class Memory:
    """The blocks of one team in the process that makes them.

    A forked child inherits the mappings. A spawned one inherits descriptors instead: of a memory
    file on Linux, of an unlinked temporary file elsewhere.
    """

    def __init__(self, *, by_descriptor: bool) -> None:
        self._by_descriptor = by_descriptor
        self._blocks: list[mmap.mmap] = []
        self.descriptors: list[int] = []

    def take(self, size_bytes: int) -> mmap.mmap:
        """A new block of at least `size_bytes`, all zeros. Raises TeamError."""
        size_bytes = max(size_bytes, 1)
        try:
            if self._by_descriptor:
                self.descriptors.append(_unnamed_file(size_bytes))
                block = mmap.mmap(self.descriptors[-1], size_bytes)
            else:
                block = mmap.mmap(-1, size_bytes)
        except (OSError, OverflowError) as error:
            raise TeamError(f"no {size_bytes:,} bytes of shared memory: {error}") from error
        self._blocks.append(block)
        return block

    def again(self) -> Take:
        """For a forked child: gives the blocks that were taken before the fork."""
        return _given(self._blocks)

    def close_descriptors(self) -> None:
        """Close what was only for children to inherit; the blocks stay."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

    def forget(self) -> None:
        """Let go of the blocks: each is freed with the last array in it."""
        self._blocks.clear()


def inherited(descriptors: Sequence[int]) -> Take:
    """For a spawned child: gives the blocks behind the descriptors, and closes these."""
    blocks = [mmap.mmap(descriptor, 0) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return _given(blocks)


def array_in(block: mmap.mmap, shape: Shape, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A C-ordered array at the start of a block; it keeps the block alive."""
    return np.ndarray(shape, dtype, buffer=block)


def _given(blocks: Sequence[mmap.mmap]) -> Take:
    left = iter(blocks)

    def take(size_bytes: int) -> mmap.mmap:
        block = next(left, None)
        if block is None or len(block) < size_bytes:
            raise AssertionError("members took different shared arrays")
        return block

    return take


def _unnamed_file(size_bytes: int) -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("convnest-team", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(prefix="convnest-team-") as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size_bytes)
    return descriptor
