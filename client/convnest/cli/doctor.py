"""`convnest doctor`: what is installed here, and whether it works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from convnest.cli.context import AsJson
from convnest.cli.json_output import print_json
from convnest.cli.output import make_console, make_table
from rich.text import Text

if TYPE_CHECKING:
    from convnest.stack.checks import Check

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="The stack's data; ~/.local/share/convnest by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is installed and works, and what to do about the rest."""
    from convnest.cli.up import stack_options
    from convnest.stack.checks import Verdict, all_checks

    options = stack_options({"data_dir": data_dir})
    checks = list(all_checks(options, server=context.find_root().obj))
    if as_json:
        print_json({"checks": checks})
    else:
        _show(checks)
    if any(check.verdict is Verdict.PROBLEM for check in checks):
        raise typer.Exit(1)


def _show(checks: Sequence[Check]) -> None:
    table = make_table(["", "check", "found"])
    for check in checks:
        found = Text(check.found)
        if check.advice:
            found.append(f"\n→ {check.advice}", style="bold")
        table.add_row(Text(check.verdict, style=_STYLES[check.verdict]), check.name, found)
    make_console().print(table)
