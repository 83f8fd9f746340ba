"""The `convnest` command: its tree of commands."""

from __future__ import annotations

from typing import Annotated, Final

import convnest
import typer
from convnest.cli import datasets, jobs, models
from convnest.cli.classify import classify
from convnest.cli.demo import demo
from convnest.cli.doctor import doctor
from convnest.cli.networks import networks
from convnest.cli.system import gc, status
from convnest.cli.training import train
from convnest.cli.up import up
from convnest.connection import DEFAULT_ADDRESS

_WORK: Final = "Train and classify"
_HOUSE: Final = "Run and look after it"


def build_app() -> typer.Typer:
    """Puts the commands together."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Train image classifiers and serve them.",
    )
    app.callback()(_root)
    app.command(rich_help_panel=_WORK)(train)
    app.command(rich_help_panel=_WORK)(classify)
    app.command(rich_help_panel=_WORK)(networks)
    app.add_typer(datasets.app, name="dataset", rich_help_panel=_WORK)
    app.add_typer(jobs.app, name="jobs", rich_help_panel=_WORK)
    app.add_typer(models.app, name="models", rich_help_panel=_WORK)
    for command in (demo, up, doctor, status, gc):
        app.command(rich_help_panel=_HOUSE)(command)
    return app


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"convnest {convnest.__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="CONVNEST_ADDRESS",
            metavar="ADDRESS",
            help=f"The server to ask; default {DEFAULT_ADDRESS}.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 (its callback acts)
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    context.obj = server
