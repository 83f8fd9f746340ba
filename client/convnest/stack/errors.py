"""Why a stack could not start."""

from __future__ import annotations

from collections.abc import Sequence

from convnest.errors import ConvNestError


class StackError(ConvNestError):
    """A part of the stack cannot start; `last_lines` is the end of what that part printed."""

    def __init__(self, message: str, *, last_lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.last_lines = tuple(last_lines)
