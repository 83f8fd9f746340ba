"""The package's exceptions: one tree, and a machine-readable `reason` on every class.

A server maps `reason` to google.rpc ErrorInfo and `InvalidInput.field` to BadRequest.
"""

from typing import ClassVar


class StoreError(Exception):
    """Anything this package refuses or fails to do."""

    reason: ClassVar[str] = "STORE_ERROR"


class InvalidInput(StoreError):
    """What the caller sent is not allowed; `field` is its path, `message` says why."""

    reason: ClassVar[str] = "INVALID_INPUT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return self.message


class ImageRejected(InvalidInput):
    """The bytes are not an image we take."""

    reason: ClassVar[str] = "IMAGE_REJECTED"


class DatasetRejected(InvalidInput):
    """The file or arrays are not a dataset we take."""

    reason: ClassVar[str] = "DATASET_REJECTED"


class NotFound(StoreError):
    """No such record."""

    reason: ClassVar[str] = "NOT_FOUND"


class AlreadyExists(StoreError):
    """The name is taken."""

    reason: ClassVar[str] = "ALREADY_EXISTS"


class FailedPrecondition(StoreError):
    """Not in the present state: the thing is in use, finished, or written by a newer version."""

    reason: ClassVar[str] = "FAILED_PRECONDITION"


class Unavailable(StoreError):
    """The state store or the remote blob store cannot be reached; trying again may help."""

    reason: ClassVar[str] = "STORE_UNAVAILABLE"


class LeaseLost(StoreError):
    """The token is no longer the holder's: another attempt owns the work."""

    reason: ClassVar[str] = "LEASE_LOST"


class BlobMissing(StoreError):
    """No blob under the key."""

    reason: ClassVar[str] = "BLOB_MISSING"


class BlobCorrupt(StoreError):
    """The blob's bytes are not the ones its digest names."""

    reason: ClassVar[str] = "BLOB_CORRUPT"


class QuotaExceeded(StoreError):
    """A bound is reached: the disk is full, or a limit on records or bytes."""

    reason: ClassVar[str] = "QUOTA_EXCEEDED"
