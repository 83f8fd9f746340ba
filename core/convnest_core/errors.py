"""What can go wrong, as one tree: catch `CoreError` for all of it."""

from __future__ import annotations

from collections.abc import Sequence


class CoreError(Exception):
    """Root of every error that this package raises on purpose."""


class SpecError(CoreError):
    """A network description, or a constructor's argument, that cannot be used.

    `path` leads to the value (`layers.3.conv.stride`); `message` is the sentence without it.
    """

    def __init__(self, message: str, *, path: str = "", field: str = "") -> None:
        self.message = message
        self.path = joined(path, field)
        self._where, self._field = path, field
        super().__init__(f"{path}: {message}" if path else message)

    def under(self, path: str) -> SpecError:
        """The same error, seen from further out: `path` is put before its own."""
        return SpecError(self.message, path=joined(path, self._where), field=self._field)


class ShapeError(CoreError):
    """A layer that cannot take the shape it is given. `path` names the layer (`layers.2`)."""

    def __init__(self, message: str, *, path: str = "", kind: str = "") -> None:
        self.message = message
        self.path = path
        where = f"{path} ({kind})" if path and kind else path or kind
        super().__init__(f"{where}: {message}" if where else message)


class DTypeError(CoreError):
    """An array of another dtype than the module was built in; nothing is cast silently."""


class StateError(CoreError):
    """Stored arrays that do not belong to this module.

    `missing`, `unexpected` and `mismatching` list the names (the last with the reason).
    """

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        mismatching: Sequence[str] = (),
    ) -> None:
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mismatching = tuple(mismatching)
        groups = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "mismatching": self.mismatching,
        }
        details = [f"{word} {_listed(names)}" for word, names in groups.items() if names]
        super().__init__(f"{message}: {'; '.join(details)}" if details else message)


class TeamError(CoreError):
    """A member of a team that ended or failed; the team is closed by then.

    `rank` and `pid` name the member, `signal` what killed it (`SIGKILL`, or None), and `traceback`
    is the text of the exception that it raised ("" if none).
    """

    def __init__(
        self,
        message: str,
        *,
        rank: int = -1,
        pid: int = -1,
        signal: str | None = None,
        traceback: str = "",
    ) -> None:
        self.rank, self.pid = rank, pid
        self.signal = signal
        self.traceback = traceback
        super().__init__(f"{message}\n{traceback}" if traceback else message)


def joined(*parts: str) -> str:
    """Path parts with dots between them, empty ones left out."""
    return ".".join(part for part in parts if part)


def _listed(names: Sequence[str], limit: int = 8) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
