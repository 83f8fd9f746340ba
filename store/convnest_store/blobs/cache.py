"""Copies of remote blobs on the local disk, named by digest, the longest unused removed first."""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from convnest_store.blobs.aside import Verifier, is_aside, sweep, written_aside
from convnest_store.blobs.blob import Blob
from convnest_store.errors import BlobCorrupt

_TRIES = 4


class BlobCache:
    """At most `max_bytes` of files in `directory`, shared by the processes of a machine.

    A file in use is held by a shared lock on it, which ends with its process; a file that is held
    is not removed, so the bound is passed while more is in use.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory.absolute()
        self._max_bytes = max_bytes
        self._verifier = Verifier()

    @contextmanager
    def holding(self, blob: Blob, chunks: Callable[[], Iterable[bytes]]) -> Iterator[Path]:
        """The verified copy, kept while the context lasts; `chunks` gives the bytes if need be.

        Raises BlobCorrupt when what was fetched is not the blob, and what `chunks` raises.
        """
        path = self._directory / blob.digest.replace(":", "-")
        with ExitStack() as held:
            for _ in range(_TRIES):
                if self._hold(path, blob, held):
                    break
                self._fetch(path, blob, chunks())
            else:
                raise BlobCorrupt(f"{blob.key} was fetched whole, but its copy in the cache is not")
            yield path
        self._trim(self._max_bytes)

    def sweep(self, older_than_s: float) -> int:
        """Remove what interrupted downloads left; returns how many."""
        return sweep(self._directory, older_than_s)

    def _hold(self, path: Path, blob: Blob, held: ExitStack) -> bool:
        """Lock the copy until `held` closes, verify it and mark it as used; False if there is none.

        Another process may remove what we fetched before we hold it, so the caller asks again.
        """
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        held.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_SH)
        stat = os.fstat(handle)
        if stat.st_nlink == 0:  # removed between our opening and our locking it
            return False
        os.utime(handle, ns=(time.time_ns(), stat.st_mtime_ns))
        try:
            self._verifier.check(path, blob)
        except (BlobCorrupt, FileNotFoundError):
            path.unlink(missing_ok=True)  # this disk's fault, not the store's: fetch it again
            return False
        return True

    def _fetch(self, path: Path, blob: Blob, chunks: Iterable[bytes]) -> None:
        self._trim(max(0, self._max_bytes - blob.size_bytes))
        with written_aside(path) as file:
            for chunk in chunks:
                file.write(chunk)
            if file.digest != blob.digest:
                raise BlobCorrupt(f"{blob.key} holds {file.digest}, its record says {blob.digest}")

    def _trim(self, max_bytes: int) -> None:
        """Remove the longest unused files that nobody holds until the rest fits."""
        files = []
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            if not is_aside(path.name):
                files.append((stat.st_atime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= max_bytes:
                return
            if _removed(path):
                self._verifier.forget(path)
                total -= size


def _removed(path: Path) -> bool:
    """Whether the file is gone now; one that is held stays."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
