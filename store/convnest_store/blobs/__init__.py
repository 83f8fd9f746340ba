"""Files under keys, written whole or not at all: datasets, checkpoints, weights.

A `Blob` is a key and the digest of its bytes. `blob_store(url)` gives a store in a local directory
or, through fsspec, in any object store; `Blob`s travel in records, stores do not.
"""

from pathlib import Path

from convnest_store.blobs.blob import MAX_KEY, Blob, BlobInfo, BlobStore, check_key
from convnest_store.blobs.local import LocalBlobStore

__all__ = ["MAX_KEY", "Blob", "BlobInfo", "BlobStore", "blob_store", "check_key"]


def blob_store(url: str, *, cache_dir: Path, cache_bytes: int = 10 * 2**30) -> BlobStore:
    """The store at `url`: a directory path, `file://…`, or what fsspec knows (`s3://bucket/path`).

    Remote blobs are read through `cache_dir`, kept under `cache_bytes`; a local store ignores both.
    Raises InvalidInput for a URL that cannot be used.
    """
    if "://" not in url or url.startswith("file://"):
        return LocalBlobStore(Path(url.removeprefix("file://")))
    # Imported here: a local store needs no fsspec.
    from convnest_store.blobs.remote import RemoteBlobStore

    return RemoteBlobStore(url, cache_dir=cache_dir, cache_bytes=cache_bytes)
