"""What every command shares: its connection, the `--json` option, and its way to fail."""

from __future__ import annotations

from typing import Annotated

import convnest
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class CommandFailed(Exception):
    """The command did not do what was asked; the message is the one line that says why."""


def connect(context: typer.Context) -> convnest.Client:
    """A client of the server named by `--server`."""
    address = context.find_root().obj
    return convnest.connect(address)
