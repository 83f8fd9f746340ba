"""`convnest networks`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from convnest import NetworkKind
from convnest.cli.context import AsJson, CommandFailed, connect
from convnest.cli.json_output import print_json
from convnest.cli.output import make_console
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def networks(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this network or layer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the networks and layers there are, with their options and defaults."""
    with connect(context) as client:
        known = client.networks()
    groups = {
        "networks": [one for one in known.networks if name in (None, one.name)],
        "layers": [one for one in known.layers if name in (None, one.name)],
    }
    if not any(groups.values()):
        names = ", ".join(one.name for one in (*known.networks, *known.layers))
        raise CommandFailed(f"no network or layer {name!r}; there are {names}")
    if as_json:
        print_json(groups)
        return
    console = make_console()
    for group, kinds in groups.items():
        if kinds:
            _show(console, group, kinds)


def _show(console: Console, group: str, kinds: Sequence[NetworkKind]) -> None:
    console.print(Text(group, style="dim"))
    for kind in kinds:
        console.print(Text.assemble((kind.name, "bold"), "  ", kind.doc))
        if kind.options:
            console.print(Padding(_options(kind), (0, 0, 0, 4), expand=False))
    console.print()


def _options(kind: NetworkKind) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    for option in kind.options:
        default = Text(f"= {option.default}" if option.default else "needed", style="cyan")
        table.add_row(option.name, default, Text(option.doc, style="dim"))
    return table
