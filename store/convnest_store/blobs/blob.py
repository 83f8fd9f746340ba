"""What every blob store keeps and promises: `Blob`, `BlobStore`, and which keys are allowed."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from convnest_store.errors import InvalidInput

MAX_KEY = 512
_SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Blob:
    """What a record keeps of a stored file; `digest` is `sha256:<hex>`."""

    key: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class BlobInfo:
    """What a listing tells of a stored file."""

    key: str
    size_bytes: int
    modified_s: float


class BlobStore(Protocol):
    """Bytes under keys like `models/digits-lenet/1-ab12/weights.safetensors`.

    No key is also the directory of another. Every method raises InvalidInput for a key that is not
    allowed, and Unavailable when a remote store cannot be reached.
    """

    def put_file(self, key: str, path: Path) -> Blob:
        """Store a copy of the file; replaces what was there. Raises QuotaExceeded."""

    def put_bytes(self, key: str, data: bytes) -> Blob:
        """Store the bytes; replaces what was there. Raises QuotaExceeded."""

    def open(self, blob: Blob) -> AbstractContextManager[Path]:
        """A local file, verified against the digest, to be read inside the context.

        Raises BlobMissing or BlobCorrupt.
        """

    def read_bytes(self, key: str) -> bytes:
        """The bytes under the key, not verified; raises BlobMissing."""

    def exists(self, key: str) -> bool:
        """Whether a blob is there."""

    def delete(self, key: str) -> None:
        """Remove the blob; nothing happens where there is none."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Every blob whose key starts with `prefix`, in the order of the keys."""

    def sweep_aside(self, older_than_s: float) -> int:
        """Remove what interrupted writes of at least that age left; returns how many."""


def check_key(key: str) -> str:
    """The key itself; raises InvalidInput if it is not allowed.

    A segment starting with a dot is ours: it marks a file that is still being written.
    """
    if len(key) > MAX_KEY or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise InvalidInput(
            "key",
            f"a blob key is up to {MAX_KEY} characters of a-z 0-9 . _ - in segments that do not "
            f"start with a dot, separated by single slashes, got {key[:MAX_KEY]!r}",
        )
    return key
