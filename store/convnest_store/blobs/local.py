"""Blobs as files in a directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from convnest_store.blobs.aside import Verifier, is_aside, sweep, written_aside
from convnest_store.blobs.blob import Blob, BlobInfo, check_key
from convnest_store.errors import BlobMissing

_NOT_A_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class LocalBlobStore:
    """A `BlobStore` in `root`, which is made at the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._verifier = Verifier()

    def put_file(self, key: str, path: Path) -> Blob:
        """See BlobStore."""
        with path.open("rb") as source, written_aside(self._path(key)) as file:
            file.copy(source)
        return Blob(key, file.digest, file.size_bytes)

    def put_bytes(self, key: str, data: bytes) -> Blob:
        """See BlobStore."""
        with written_aside(self._path(key)) as file:
            file.write(data)
        return Blob(key, file.digest, file.size_bytes)

    @contextmanager
    def open(self, blob: Blob) -> Iterator[Path]:
        """See BlobStore; the path is the stored file itself."""
        path = self._path(blob.key)
        try:
            self._verifier.check(path, blob)
        except _NOT_A_FILE as error:
            raise BlobMissing(f"no blob {blob.key}") from error
        yield path

    def read_bytes(self, key: str) -> bytes:
        """See BlobStore."""
        try:
            return self._path(key).read_bytes()
        except _NOT_A_FILE as error:
            raise BlobMissing(f"no blob {key}") from error

    def exists(self, key: str) -> bool:
        """See BlobStore."""
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        """See BlobStore; empty directories stay, for a writer may be about to use them."""
        path = self._path(key)
        with suppress(*_NOT_A_FILE):
            path.unlink()
        self._verifier.forget(path)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """See BlobStore."""
        yield from sorted(self._walk(prefix), key=lambda info: info.key)

    def sweep_aside(self, older_than_s: float) -> int:
        """See BlobStore."""
        return sweep(self._root, older_than_s)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _walk(self, prefix: str) -> Iterator[BlobInfo]:
        top = self._root
        if "/" in prefix:
            top /= check_key(prefix.rpartition("/")[0])
        for parent, _, names in os.walk(top):
            for name in names:
                path = Path(parent, name)
                key = path.relative_to(self._root).as_posix()
                if is_aside(name) or not key.startswith(prefix):
                    continue
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue  # deleted while we walked
                yield BlobInfo(key, stat.st_size, stat.st_mtime)
