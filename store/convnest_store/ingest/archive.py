"""A zip file from a stranger: refused before it costs memory, read as streams, never extracted.

Zip is described in PKWARE's APPNOTE.TXT; sections are cited as APPNOTE 4.x.
"""

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, NoReturn

from convnest_store.errors import DatasetRejected
from convnest_store.ingest.limits import Limits

_DIRECTORY_BYTES_PER_ENTRY = 512
_MAX_COMMENT = 2**16
_END = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16
_END64 = struct.Struct("<4sQ2H2L4Q")  # APPNOTE 4.3.14
_LOCATOR64_BYTES = 20  # APPNOTE 4.3.15
_ENTRY = struct.Struct("<4s24x3H12x")  # APPNOTE 4.3.12
_ENCRYPTED = 0x1
# What zipfile is known to raise on bytes that are not what they claim.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True)
class Member:
    """A file or folder in the archive; `parts` are its path's, safe to use."""

    name: str
    parts: tuple[str, ...]
    is_folder: bool
    size_bytes: int
    info: zipfile.ZipInfo


class Archive:
    """The members of a zip, checked; raises DatasetRejected for what is not allowed."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        with _told_as_damage("the zip's directory"):
            _check_directory(file, limits)
            self._zip = zipfile.ZipFile(file)
        self.members = tuple(_member(info) for info in self._zip.infolist())
        total = sum(member.size_bytes for member in self.members)
        if total > limits.max_archive_bytes:
            _refuse(
                f"the archive unpacks to {total:,} bytes; "
                f"at most {limits.max_archive_bytes:,} are allowed"
            )

    def stream(self, member: Member) -> IO[bytes]:
        """The member's bytes, never more than `size_bytes`, to be read by `read_exactly`."""
        with _told_as_damage(member.name):
            return self._zip.open(member.info)

    def read(self, member: Member, *, max_bytes: int) -> bytes:
        """All of a member; raises DatasetRejected if it is larger than allowed."""
        if member.size_bytes > max_bytes:
            _refuse(
                f"{member.name} has {member.size_bytes:,} bytes; at most {max_bytes:,} are allowed"
            )
        with self.stream(member) as stream:
            return read_exactly(stream, member.size_bytes, name=member.name)


def read_exactly(stream: IO[bytes], size: int, *, name: str) -> bytes:
    """So many bytes of a member; raises DatasetRejected if they end sooner or are damaged."""
    with _told_as_damage(name):
        data = stream.read(size)
    if len(data) < size:
        _refuse(f"{name} is truncated: {len(data):,} of {size:,} bytes")
    return data


def _check_directory(file: BinaryIO, limits: Limits) -> None:
    """Count the entries by the directory's own bytes, before anything is built from them."""
    size = file.seek(0, 2)
    tail_start = max(0, size - _MAX_COMMENT - _END.size)
    file.seek(tail_start)
    tail = file.read()
    found = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if found < 0:
        _refuse(f"not a zip file: no end of directory in its {size:,} bytes")
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(tail, found)
    end = tail_start + found
    file.seek(max(0, end - _LOCATOR64_BYTES - _END64.size))
    large = file.read(_LOCATOR64_BYTES + _END64.size)
    if large[_END64.size :].startswith(b"PK\6\7") and large.startswith(b"PK\6\6"):
        *_, entries, directory_bytes, _ = _END64.unpack_from(large)
        end -= len(large)
    _check_entries(entries, limits)
    if directory_bytes > limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY:
        _refuse(
            f"the zip's directory has {directory_bytes:,} bytes; at most "
            f"{limits.max_entries * _DIRECTORY_BYTES_PER_ENTRY:,} are allowed"
        )
    if directory_bytes > end:
        _refuse(f"the zip's directory claims {directory_bytes:,} bytes; the file has {size:,}")
    file.seek(end - directory_bytes)
    entries = _count_entries(file.read(directory_bytes), at_most=limits.max_entries + 1)
    _check_entries(entries, limits)


def _count_entries(directory: bytes, *, at_most: int) -> int:
    """What is there, whatever the end of the directory claims; stops at `at_most`."""
    count = at = 0
    while at + _ENTRY.size <= len(directory) and count < at_most:
        _, *lengths = _ENTRY.unpack_from(directory, at)
        at += _ENTRY.size + sum(lengths)
        count += 1
    return count


def _check_entries(entries: int, limits: Limits) -> None:
    if entries > limits.max_entries:
        _refuse(f"the archive has {entries:,} entries; at most {limits.max_entries:,} are allowed")


def _member(info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename
    path = unicodedata.normalize("NFC", name.replace("\\", "/"))  # as Windows and macOS pack
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if "\0" in name or not parts:
        _refuse(f"{name!r} is no name for a member")
    if ".." in parts or path.startswith("/") or parts[0][1:2] == ":":
        _refuse(f"{name!r} leads out of the archive; paths must be relative, without '..'")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        _refuse(f"{name!r} is a link; only files and folders are allowed")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse(f"{name!r} is a special file; only files and folders are allowed")
    if info.flag_bits & _ENCRYPTED:
        _refuse(f"{name!r} is encrypted; that is not allowed")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(f"{name!r} is packed by method {info.compress_type}; only deflate is allowed")
    return Member(name, parts, path.endswith("/"), info.file_size, info)


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise DatasetRejected("archive", f"{name} is damaged: {error}") from error


def _refuse(message: str) -> NoReturn:
    raise DatasetRejected("archive", message)
