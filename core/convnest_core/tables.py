"""Plain text tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], *, align: str) -> str:
    """The rows, one a line, in columns; `align` has one of < and > for each column."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(align))]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in rows
    )
