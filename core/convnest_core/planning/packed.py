"""Packed weights in memory that a team shares: the first member packs, the others find.

Every member compiles for itself, in the same way. In the shared room arrays lie one behind another
in the order in which kernels ask for them, each behind a head that says its shape and type.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array, unread
from convnest_core.errors import TeamError
from convnest_core.kernels.planned import Packing

# One cache line. No type: nothing follows.
_HEAD = np.dtype([("type", "S8"), ("axes", np.int64), ("shape", np.int64, (6,))])

Room: TypeAlias = npt.NDArray[np.uint8]


class Measuring:
    """Packs to see how much room it takes; what it returns has shapes, but no values."""

    def __init__(self) -> None:
        self.size_bytes = 3 * _HEAD.itemsize  # for the end, and for what `expect_alike` tells

    def __call__(self, make: Callable[[], Array]) -> Array:
        array = make()
        self.size_bytes += _size_bytes(array)
        return unread(array)


class Filling:
    """The first member's: packs, and moves it into the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._end()

    def __call__(self, make: Callable[[], Array]) -> Array:
        array = make()
        shape = array.shape + (0,) * (_HEAD["shape"].shape[0] - array.ndim)
        _head(self._room)[()] = array.dtype.str, array.ndim, shape
        view = _found(self._room)
        np.copyto(view, array)
        view.flags.writeable = False
        self._room = self._room[_size_bytes(array) :]
        self._end()
        return view

    def _end(self) -> None:
        _head(self._room)["type"] = b""


class Finding:
    """Another member's: what the first one packed, in the same order. Raises TeamError."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def __call__(self, make: Callable[[], Array]) -> Array:  # noqa: ARG002 # it is made
        if not _head(self._room)["type"]:
            raise TeamError("a member of a team packs more weights than the first one")
        view = _found(self._room)
        view.flags.writeable = False
        self._room = self._room[_size_bytes(view) :]
        return view


def expect_alike(told: str, pack: Packing) -> None:
    """After the last weights: that all members packed them for the same, as `told`.

    Raises TeamError.
    """
    own = np.array([zlib.crc32(told.encode())], np.float64)
    if not np.array_equal(pack(lambda: own), own):
        raise TeamError("the members of a team compiled different plans")


def _head(room: Room) -> npt.NDArray[Any]:  # of `_HEAD`
    return room[: _HEAD.itemsize].view(_HEAD).reshape(())


def _found(room: Room) -> Array:
    """The array at the start of a room."""
    kind, axes, shape = _head(room)[()]
    view: Array = np.ndarray(tuple(shape[:axes]), kind.decode(), room, _HEAD.itemsize)
    return view


def _size_bytes(array: Array) -> int:
    """Of an array and its head, whole cache lines."""
    line = _HEAD.itemsize
    return line + -(-array.nbytes // line) * line
