"""Arrays of an npz, read without trusting a header: checked first, then streamed.

NumPy's own reader is not used for the data: it allocates what a header claims before a byte of it
is there. The format is described in `numpy.lib.format`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from convnest_store.errors import DatasetRejected
from convnest_store.ingest.archive import Archive, Member, read_exactly

BLOCK = 2**20

AnyArray = npt.NDArray[Any]  # Any: of the dtype its header names


@dataclass(frozen=True)
class StoredArray:
    """What the header of one member says, found to agree with the member's size."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # Any: as above
    is_fortran: bool
    _archive: Archive
    _member: Member
    _header_bytes: int

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    def blocks(self) -> Iterator[AnyArray]:
        """The elements in the order they are stored, flat, up to BLOCK of them at a time."""
        with self._archive.stream(self._member) as stream:
            read_exactly(stream, self._header_bytes, name=self.name)
            for start in range(0, self.size, BLOCK):
                count = min(BLOCK, self.size - start)
                raw = read_exactly(stream, count * self.dtype.itemsize, name=self.name)
                yield np.frombuffer(raw, self.dtype)

    def row(self, index: int) -> int:
        """The place on the first axis of the element at this place in the stored order."""
        rows = self.shape[0]
        return index % rows if self.is_fortran else index // (self.size // rows)


def stored_array(archive: Archive, member: Member, name: str) -> StoredArray:
    """Read a member's header; raises DatasetRejected for objects and for a size that is not so."""
    with archive.stream(member) as stream:
        shape, is_fortran, dtype = _header(stream, name)
        header_bytes = stream.tell()
    if dtype.hasobject:
        refuse(
            name,
            f"{name} holds Python objects; they are never unpickled. "
            "Save plain arrays of numbers or strings",
        )
    if dtype.itemsize == 0:
        refuse(name, f"{name} has elements of no size ({dtype})")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != member.size_bytes - header_bytes:
        refuse(
            name,
            f"{name} claims {dtype} {shape}, {claimed:,} bytes; "
            f"{member.size_bytes - header_bytes:,} follow its header",
        )
    return StoredArray(name, shape, dtype, is_fortran, archive, member, header_bytes)


def refuse(name: str, message: str) -> NoReturn:
    """Raises DatasetRejected for the named array."""
    raise DatasetRejected(name, message)


def _header(
    stream: IO[bytes], name: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:  # Any: as above
    with _told_as_damage(name):
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):  # later ones are for structured dtypes, with headers up to 4 GiB
            refuse(name, f"{name} has npy format {version}; only (1, 0) is allowed")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        return tuple(int(side) for side in shape), bool(is_fortran), dtype


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    try:
        yield
    except DatasetRejected:
        raise
    except Exception as error:  # NumPy parses the header as Python; what may fail has no list
        raise DatasetRejected(name, f"{name} is not an npy array: {error}") from error
