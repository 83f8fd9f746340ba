"""Programs in memory that a team shares: one member compiles them, all of them run them.

They travel as pickles whose arrays and modules stay out of them: a parameter's values and modules
are known to every member, and other arrays (weights packed for a kernel) are copied once.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from convnest_core.arrays import Array
from convnest_core.module import Module

_ALIGNMENT = 64  # bytes
_HEAD_BYTES = 64  # where the pickle lies

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Known:
    """What every member of a team has: its module and, in one array, all parameters' values."""

    module: Module
    parameters: Array


class Packed:
    """A thing made of kernels, ready to be put where other members find it."""

    def __init__(self, thing: object, known: Known) -> None:
        file = io.BytesIO()
        writer = _Writer(file, known)
        writer.dump(thing)
        self._text = np.frombuffer(file.getvalue(), np.uint8)
        self._arrays = writer.arrays
        self._end = writer.end
        self.size_bytes = writer.end + len(self._text)

    def put(self, room: Bytes) -> None:
        """Copy it to a shared array of at least `size_bytes`."""
        room[:_HEAD_BYTES].view(np.int64)[:2] = self._end, len(self._text)
        for place, array in self._arrays:
            room[place : place + array.nbytes].view(array.dtype)[:] = array.reshape(-1)
        room[self._end : self._end + len(self._text)] = self._text


def taken(room: Bytes, known: Known) -> Any:  # what was put
    """What was put into a shared array. Its arrays stay there, and cannot be written to."""
    end, length = room[:_HEAD_BYTES].view(np.int64)[:2].tolist()
    return _Reader(io.BytesIO(room[end : end + length].tobytes()), room, known).load()


class _Writer(pickle.Pickler):
    """Collects the arrays that the other members do not have, each with its place in the room."""

    def __init__(self, file: io.BytesIO, known: Known) -> None:
        super().__init__(file, protocol=5)
        self.arrays: list[tuple[int, Array]] = []
        self.end = _HEAD_BYTES
        self._places: dict[int, int] = {}  # by the array's id
        self._parameters = known.parameters
        self._paths = {id(module): path for path, module in known.module.modules()}

    def persistent_id(self, thing: object) -> tuple[object, ...] | None:
        if isinstance(thing, Module):
            return "module", self._paths[id(thing)]
        if not isinstance(thing, np.ndarray):
            return None
        if np.may_share_memory(thing, self._parameters):
            place = thing.ctypes.data - self._parameters.ctypes.data
            return "parameter", place, thing.shape, thing.strides, thing.dtype.str
        if id(thing) not in self._places:
            self._places[id(thing)] = self.end
            self.arrays.append((self.end, thing))
            self.end += -(-thing.nbytes // _ALIGNMENT) * _ALIGNMENT
        return "packed", self._places[id(thing)], thing.shape, None, thing.dtype.str


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, room: Bytes, known: Known) -> None:
        super().__init__(file)
        self._memory = {"packed": room, "parameter": known.parameters}
        self._modules = dict(known.module.modules())

    def persistent_load(self, told: Any) -> Any:  # as `_Writer.persistent_id` gives it
        kind, *where = told
        if kind == "module":
            return self._modules[where[0]]
        place, shape, strides, dtype = where
        view: Array = np.ndarray(shape, dtype, self._memory[kind], place, strides)
        view.flags.writeable = False
        return view
