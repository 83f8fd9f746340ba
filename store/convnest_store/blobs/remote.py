"""Blobs in an object store, through fsspec, read through a bounded local cache."""

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from convnest_store.blobs.aside import CHUNK_BYTES
from convnest_store.blobs.blob import Blob, BlobInfo, check_key
from convnest_store.blobs.cache import BlobCache
from convnest_store.errors import BlobMissing, InvalidInput, StoreError, Unavailable


class RemoteBlobStore:
    """A `BlobStore` at an fsspec URL. An object appears whole: a put is one put."""

    def __init__(self, url: str, *, cache_dir: Path, cache_bytes: int) -> None:
        try:
            # No listings cache: other processes write to the same bucket.
            fs, root = fsspec.url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise InvalidInput("url", f"cannot store blobs at {url!r}: {error}") from error
        self._fs: Any = fs  # Any: fsspec has no types
        self._root = str(root).rstrip("/")
        self._cache = BlobCache(cache_dir, cache_bytes)

    def put_file(self, key: str, path: Path) -> Blob:
        """See BlobStore."""
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size_bytes = file.tell()
        with _reached():
            self._fs.put_file(str(path), self._path(key))
        return Blob(key, digest, size_bytes)

    def put_bytes(self, key: str, data: bytes) -> Blob:
        """See BlobStore."""
        with _reached():
            self._fs.pipe_file(self._path(key), data)
        return Blob(key, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))

    @contextmanager
    def open(self, blob: Blob) -> Iterator[Path]:
        """See BlobStore; the path is a copy in the cache, kept while the context lasts."""
        check_key(blob.key)
        with self._cache.holding(blob, lambda: self._chunks(blob.key)) as path:
            yield path

    def read_bytes(self, key: str) -> bytes:
        """See BlobStore."""
        with _found(key):
            return bytes(self._fs.cat_file(self._path(key)))

    def exists(self, key: str) -> bool:
        """See BlobStore."""
        with _reached():
            return bool(self._fs.isfile(self._path(key)))

    def delete(self, key: str) -> None:
        """See BlobStore."""
        with suppress(BlobMissing), _found(key):
            self._fs.rm_file(self._path(key))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """See BlobStore."""
        top = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self._root
        with _reached():
            found: dict[str, dict[str, Any]] = self._fs.find(top, detail=True)  # Any: see above
        for name, info in sorted(found.items()):
            key = name.removeprefix(f"{self._root}/")
            if key.startswith(prefix):
                yield BlobInfo(key, int(info["size"]), _modified_s(info))

    def sweep_aside(self, older_than_s: float) -> int:
        """See BlobStore: puts leave nothing here, interrupted downloads lie in the cache."""
        return self._cache.sweep(older_than_s)

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _chunks(self, key: str) -> Iterator[bytes]:
        with _found(key), self._fs.open(self._path(key), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # every store has an exception tree of its own
        raise Unavailable(f"the blob store failed: {error}") from error


@contextmanager
def _found(key: str) -> Iterator[None]:
    with _reached():
        try:
            yield
        except FileNotFoundError as error:
            raise BlobMissing(f"no blob {key}") from error


def _modified_s(info: dict[str, Any]) -> float:  # Any: fsspec's keys differ by store
    for name in ("LastModified", "mtime", "created", "last_modified", "updated"):
        moment = info.get(name)
        if isinstance(moment, datetime.datetime):
            return moment.timestamp()
        if isinstance(moment, int | float):
            return float(moment)
    return 0.0
