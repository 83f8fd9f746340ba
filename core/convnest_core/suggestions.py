"""The nearest known name, for messages about an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'lenet'?`, or nothing where no known name is near."""
    import difflib  # rarely needed, and slow to import

    near = difflib.get_close_matches(str(name)[:100].lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
