"""What can go wrong, as one tree of exceptions that mirrors the API's status codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "ConvNestError",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "ResourceExhausted",
    "Unavailable",
    "Unimplemented",
]


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that was not acceptable, e.g. `spec.epochs`."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ConvNestError(Exception):
    """Root of every error that this package raises.

    `reason` is the machine-readable cause that the server gave (`DATASET_NOT_FOUND`); empty where
    the error did not come from a ConvNest server.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class InvalidArgument(ConvNestError):
    """The request can never work as it is; `violations` names the fields at fault."""

    def __init__(
        self, message: str, *, reason: str = "", violations: Sequence[FieldViolation] = ()
    ) -> None:
        super().__init__(message, reason=reason)
        self.violations = tuple(violations)

    def __str__(self) -> str:
        return "; ".join(map(str, self.violations)) or self.message

    @classmethod
    def of(cls, field: str, message: str) -> InvalidArgument:
        """The error of one field, found before anything was sent."""
        return cls(f"{field}: {message}", violations=[FieldViolation(field, message)])


class NotFound(ConvNestError):
    """The thing named does not exist."""


class AlreadyExists(ConvNestError):
    """The name is taken."""


class FailedPrecondition(ConvNestError):
    """Not possible in the present state, e.g. removing a dataset that a job uses."""


class ResourceExhausted(ConvNestError):
    """Too much waits already, or the request is too large; try again after `retry_after_s`."""

    def __init__(
        self, message: str, *, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s


class Unavailable(ConvNestError):
    """No server answers, or something it depends on is away."""


class DeadlineExceeded(ConvNestError):
    """No answer came in the time allowed."""


class Cancelled(ConvNestError):
    """The call was given up before it was answered."""


class Unimplemented(ConvNestError):
    """This server does not know the call; it is probably older than this client."""


class Internal(ConvNestError):
    """A fault of the server's own; its log tells more under `error_id`."""

    def __init__(self, message: str, *, reason: str = "", error_id: str = "") -> None:
        super().__init__(message, reason=reason)
        self.error_id = error_id
