"""How `convnest up` tells what happens: lines for a person, or JSON for a program."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path

from convnest.cli.json_output import print_json_line
from convnest.stack import Event
from rich.console import Console
from rich.text import Text

_STYLES = {"ready": "green", "died": "red", "restarting": "yellow", "warning": "yellow"}
_DEFAULT_PORT = ":50051"


class TextReport:
    """One short line an event, and what to type next once all is ready."""

    def __init__(self, console: Console, *, data_dir: Path) -> None:
        self._console = console
        self._data_dir = data_dir

    def __call__(self, event: Event) -> None:
        if event.kind == "ready" and not event.part:
            text = self._welcome(event.detail)
        else:
            text = Text(_line(event), style=_STYLES.get(event.kind, ""))
        # The reader of our output may be gone (rich then raises SystemExit); the parts must be
        # kept, and stopped, all the same.
        with contextlib.suppress(OSError, SystemExit):
            self._console.print(text, soft_wrap=True)

    def _welcome(self, address: str) -> Text:
        convnest = "convnest" if address.endswith(_DEFAULT_PORT) else f"convnest --server {address}"
        return Text.assemble(
            ("\nConvNest is ready on ", "bold"),
            (address, "bold green"),
            f"\n  data and logs  {self._data_dir}",
            "\n  next           in a second terminal:",
            f"\n                 {convnest} dataset add digits --builtin digits",
            f"\n                 {convnest} train --dataset digits --network lenet "
            "--model digits-lenet --watch",
            "\n  stop           Ctrl-C (twice: at once)\n",
        )


class JsonReport:
    """One JSON object a line."""

    def __init__(self, *, data_dir: Path) -> None:
        self._data_dir = data_dir

    def __call__(self, event: Event) -> None:
        told = {name: value for name, value in asdict(event).items() if value not in ("", None)}
        if event.kind == "ready" and not event.part:
            told = {"kind": "ready", "address": event.detail, "data_dir": str(self._data_dir)}
        with contextlib.suppress(OSError):
            print_json_line(told)


def _line(event: Event) -> str:
    who = event.part or "convnest"
    match event.kind:
        case "started":
            what = f"started (pid {event.pid})"
        case "died":
            what = f"died: {event.detail}"
        case "restarting":
            what = f"starting again in {event.delay_s:.1f} s"
        case "stopping":
            what = "stopping"
        case "stopped":
            what = f"stopped ({event.detail})" if event.detail else "stopped"
        case "progress":
            what = event.detail
        case "warning":
            what = f"warning: {event.detail}"
        case _:
            what = event.kind
    return f"{who:<12} {what}"
