"""`convnest classify`"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from convnest import Classification, InvalidArgument
from convnest.cli.context import AsJson, CommandFailed, connect
from convnest.cli.json_output import print_json
from convnest.cli.output import bar, make_console, make_table, percent
from rich.table import Table
from rich.text import Text

_BAR_WIDTH: Final = 24

_IMAGES_A_CALL: Final = 256  # what the server takes at once


def classify(
    context: typer.Context,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE…", help="PNG, JPEG, BMP, GIF or WebP files.")
    ],
    model: Annotated[str, typer.Option(help="A model's latest version; or name:2, or name@alias.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Say what is on pictures."""
    with connect(context) as client:
        results: list[Classification] = []
        for first in range(0, len(images), _IMAGES_A_CALL):
            some = images[first : first + _IMAGES_A_CALL]
            # All by the same version, also where the name or the alias moves on meanwhile.
            version = f"{results[0].model}:{results[0].version}" if results else model
            try:
                results += client.classify(version, some, top_k=top)
            except InvalidArgument as error:
                raise CommandFailed(_with_paths(str(error), some)) from error
    if as_json:
        print_json(
            [
                {"image": str(image), "model": one.model, "version": one.version, "top": one.scores}
                for image, one in zip(images, results, strict=True)
            ]
        )
        return
    console = make_console()
    console.print(Text(f"{results[0].model}:{results[0].version}", style="dim"))
    console.print(_table(images, results))


def _with_paths(message: str, images: Sequence[Path]) -> str:
    """The message with `images[2].encoded` given as the path that it was read from."""
    return re.sub(
        r"images\[(\d+)\](\.\w+)*",
        lambda found: str(images[int(found[1])]) if int(found[1]) < len(images) else found[0],
        message,
    )


def _table(images: Sequence[Path], results: Sequence[Classification]) -> Table:
    table = make_table(("image", "class", "probability", ""), right=("probability",))
    for number, (image, result) in enumerate(zip(images, results, strict=True)):
        if number:
            table.add_row()
        for rank, score in enumerate(result.scores):
            style = "bold" if rank == 0 else "dim"
            table.add_row(
                str(image) if rank == 0 else "",
                Text(score.label, style=style),
                Text(percent(score.probability), style=style),
                Text(bar(score.probability, _BAR_WIDTH), style="cyan" if rank == 0 else "dim cyan"),
            )
    return table
