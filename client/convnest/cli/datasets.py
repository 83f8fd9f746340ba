"""`convnest dataset …`"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from convnest import Client, Dataset, ImageShape, Job
from convnest.cli.context import AsJson, connect
from convnest.cli.following import follow, job_goes_on, succeeded
from convnest.cli.json_output import print_json
from convnest.cli.output import age, local_time, make_console, make_facts, make_table, size
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

app = typer.Typer(no_args_is_help=True, help="Labelled images that networks are trained on.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name.")]


@app.command()
def add(
    context: typer.Context,
    name: Name,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="A folder or .zip of one folder per class; or .npz."),
    ] = None,
    builtin: Annotated[str | None, typer.Option(help="A built-in source: digits.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Bring images to this size, as in 28x28x1.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Leave once it is queued.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a dataset from a folder, a file or a built-in source."""
    if (path is None) == (builtin is None):
        raise typer.BadParameter("give either a PATH or --builtin", param_hint="PATH")
    wanted = _parse_shape(shape) if shape is not None else None
    console = make_console()
    with connect(context) as client:
        if path is None or as_json:
            job = client.datasets.add(name, path, builtin=builtin, shape=wanted)
        else:
            job = _upload(client, console, name, path, wanted)
        if no_wait and as_json:
            print_json({"job": job})
        elif no_wait:
            console.print(f"job {job.id} is queued; watch it with: convnest jobs watch {job.id}")
        elif as_json:
            with job_goes_on(job):
                job = succeeded(job.wait())
            print_json({"job": job, "dataset": client.datasets.get(name)})
        else:
            with job_goes_on(job):
                follow(job, console)
            dataset = client.datasets.get(name)
            console.print(f"✓ {name} · {contents(dataset)}", style="green")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the datasets."""
    with connect(context) as client:
        datasets = list(client.datasets.list())
    if as_json:
        print_json(datasets)
        return
    right = ("classes", "train", "test", "size", "age")
    table = make_table(("name", "shape", *right, "source"), right=right)
    for one in datasets:
        table.add_row(
            one.name,
            str(one.shape),
            f"{len(one.classes):,}",
            f"{one.train_images:,}",
            f"{one.test_images:,}",
            size(one.size_bytes),
            age(one.create_time),
            one.source,
        )
    make_console().print(table if datasets else "no datasets; add one with: convnest dataset add")


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one dataset and its classes."""
    with connect(context) as client:
        dataset = client.datasets.get(name)
    if as_json:
        print_json(dataset)
        return
    facts = make_facts()
    facts.add_row("name", dataset.name)
    facts.add_row("images", contents(dataset))
    facts.add_row("size", size(dataset.size_bytes))
    facts.add_row("source", dataset.source)
    facts.add_row("made", f"{local_time(dataset.create_time)} by job {dataset.job_id}")
    facts.add_row("digest", dataset.digest)
    classes = make_table(("class", "train", "test"), right=("train", "test"))
    for one in dataset.classes:
        classes.add_row(one.name, f"{one.train:,}", f"{one.test:,}")
    console = make_console()
    console.print(facts)
    console.print()
    console.print(classes)


@app.command()
def rm(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Remove a dataset; refused while a job uses it."""
    with connect(context) as client:
        client.datasets.remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        make_console().print(f"removed dataset {name}")


@app.command()
def samples(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder to write to; made where it is missing.")],
    count: Annotated[int, typer.Option(min=1, max=100, help="How many images.")] = 10,
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    as_json: AsJson = False,
) -> None:
    """Write a few of a dataset's images as PNG files named INDEX-LABEL.png."""
    with connect(context) as client:
        images = client.datasets.sample(name, split=split, count=count)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for image in images:
        path = out / f"{image.index}-{file_name_part(image.label)}.png"
        path.write_bytes(image.png)
        written.append({"path": str(path), "label": image.label, "index": image.index})
    if as_json:
        print_json(written)
    else:
        make_console().print(f"wrote {len(written)} images to {out}")


def file_name_part(label: str) -> str:
    """A label as a part of a file's name: what could lead elsewhere becomes an underscore."""
    return re.sub(r"[^\w.-]", "_", label) or "_"


def contents(dataset: Dataset) -> str:
    """What is in it, in one line."""
    return (
        f"{dataset.train_images:,} images to train with, {dataset.test_images:,} held out · "
        f"{len(dataset.classes):,} classes · {dataset.shape}"
    )


def _parse_shape(text: str) -> ImageShape:
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})[x×](\d{1,5})", text)
    if match is None:
        raise typer.BadParameter(
            f"must be HEIGHTxWIDTHxCHANNELS as in 28x28x1, got {text!r}", param_hint="--shape"
        )
    return ImageShape(*map(int, match.groups()))


def _upload(
    client: Client, console: Console, name: str, path: Path, shape: ImageShape | None
) -> Job:
    columns = (
        TextColumn("[bold cyan]uploading"),
        BarColumn(bar_width=None, complete_style="cyan"),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, expand=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=None)

        def sent(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return client.datasets.add(name, path, shape=shape, on_progress=sent)
