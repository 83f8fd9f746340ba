"""`convnest up`: all of ConvNest in the foreground, until Ctrl-C."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from convnest.cli.context import AsJson
from convnest.errors import ConvNestError

if TYPE_CHECKING:
    from convnest.stack import OnEvent, Programs, StackOptions


def up(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Holds everything it keeps; ~/.local/share/convnest by default."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 lets the system choose; 50051 by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; 1 by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start Redis, server and worker, and keep them running until Ctrl-C."""
    if sys.platform != "linux":
        raise ConvNestError("convnest up needs Linux; elsewhere run the parts with docker compose")
    from convnest.cli.output import make_console
    from convnest.cli.up_report import JsonReport, TextReport
    from convnest.stack import Programs, StackError

    options = stack_options({"data_dir": data_dir, "host": host, "port": port, "workers": workers})
    data_dir = options.data_dir
    report: OnEvent
    if as_json:
        report = JsonReport(data_dir=data_dir)
    else:
        report = TextReport(make_console(), data_dir=data_dir)
    _warn_if_open(options, report)
    try:
        run_until_signalled(options, report, Programs())
    except StackError as error:
        for line in error.last_lines:
            print(f"  | {line}", file=sys.stderr)
        raise


def stack_options(given: Mapping[str, Any]) -> StackOptions:  # Any: each has a type of its own
    """The stack's settings as a command was given them; None leaves one to the environment."""
    from convnest.stack import StackError, StackOptions
    from pydantic import ValidationError

    try:
        return StackOptions(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise StackError(f"{name}: {first['msg']}, got {first['input']!r}") from error


def _warn_if_open(options: StackOptions, report: OnEvent) -> None:
    from convnest.stack import Event
    from convnest.stack.address import is_loopback

    if not is_loopback(options.host):
        report(
            Event(
                "warning",
                detail=f"nothing asks for a password yet: whoever reaches {options.host} can use, "
                "change and delete everything here",
            )
        )


def run_until_signalled(options: StackOptions, report: OnEvent, programs: Programs) -> None:
    """Keep a stack running until SIGINT, SIGTERM or SIGHUP; a second one ends it at once."""
    from convnest.cli.signals import on_stop_signals
    from convnest.stack import Stack, StackError

    stop = threading.Event()
    stack = Stack(options, on_event=report, programs=programs, cancelled=stop)
    with on_stop_signals(stop.set, stack.kill):
        try:
            with stack:
                stop.wait()
        except StackError:
            if not stop.is_set():
                raise
