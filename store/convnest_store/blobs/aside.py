"""Writing a file so that it appears whole or not at all, and knowing later that it is unchanged."""

import errno
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from convnest_store.blobs.blob import Blob
from convnest_store.errors import BlobCorrupt, QuotaExceeded

CHUNK_BYTES = 2**20

_ASIDE = ".aside-"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class HashingWriter:
    """A file being written, its digest and its size so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._sha.update(data)
        self.size_bytes += len(data)

    def copy(self, source: BinaryIO) -> None:
        """Append the rest of `source`."""
        while chunk := source.read(CHUNK_BYTES):
            self.write(chunk)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what was written."""
        return f"sha256:{self._sha.hexdigest()}"


@contextmanager
def written_aside(path: Path) -> Iterator[HashingWriter]:
    """Write beside `path`; on a clean exit sync and rename onto it, otherwise leave no trace.

    Raises QuotaExceeded when the disk is full.
    """
    aside = path.with_name(f"{_ASIDE}{secrets.token_hex(8)}")
    try:
        make_directory(path.parent)
        with aside.open("xb") as file:
            yield HashingWriter(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        if error.errno in _FULL:
            raise QuotaExceeded(f"cannot write {path.name}: {error.strerror}") from error
        raise
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            aside.unlink()


def is_aside(name: str) -> bool:
    """Whether a file of this name is one that was still being written."""
    return name.startswith(_ASIDE)


def sweep(directory: Path, older_than_s: float) -> int:
    """Remove files left aside in the tree, last written at least so long ago; returns how many."""
    before = time.time() - older_than_s
    swept = 0
    for parent, _, names in os.walk(directory):
        for name in filter(is_aside, names):
            path = Path(parent, name)
            try:
                if path.stat().st_mtime <= before:
                    path.unlink()
                    swept += 1
            except FileNotFoundError:
                continue  # its writer finished, or another sweeper was first
    return swept


def make_directory(directory: Path) -> None:
    """Make it and its missing parents, so that they outlive a power cut."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in it outlive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Verifier:
    """Checks files against digests, once for each state (size, time, inode) a file is in."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._lock = threading.Lock()

    def check(self, path: Path, blob: Blob) -> None:
        """Raises BlobCorrupt unless the file's bytes are the blob's; FileNotFoundError."""
        state = _state(path)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == state:
            digest = known[1]
        else:
            with path.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            with self._lock:
                self._known[path] = (state, digest)
        if digest != blob.digest:
            raise BlobCorrupt(f"{blob.key} holds {digest}, its record says {blob.digest}")

    def forget(self, path: Path) -> None:
        """The file is gone."""
        with self._lock:
            self._known.pop(path, None)


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
