"""`convnest models …`"""

from __future__ import annotations

from typing import Annotated

import typer
from convnest import Model, ModelVersion
from convnest.cli.context import AsJson, connect
from convnest.cli.json_output import print_json
from convnest.cli.output import (
    age,
    local_time,
    make_console,
    make_facts,
    make_table,
    percent,
    size,
)
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Trained networks, their versions and aliases.")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models."""
    with connect(context) as client:
        models = list(client.models.list())
    if as_json:
        print_json(models)
        return
    right = ("latest", "versions", "age")
    table = make_table(("model", *right, "aliases"), right=right)
    for model in models:
        table.add_row(
            model.name,
            str(model.latest_version),
            str(model.versions),
            age(model.create_time),
            _aliases(model),
        )
    make_console().print(table if models else "no models; train one with: convnest train")


@app.command()
def show(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(metavar="NAME", help="A model, or a version: name:2, name@alias.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a model and its versions, or one version in full."""
    if ":" in reference or "@" in reference:
        with connect(context) as client:
            version = client.models.version(reference)
        if as_json:
            print_json(version)
        else:
            _show_version(version)
        return
    with connect(context) as client:
        model = client.models.get(reference)
        versions = list(client.models.versions(reference))
    if as_json:
        print_json({"model": model, "versions": versions})
    else:
        _show_model(model, versions)


@app.command()
def alias(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model.")],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="As in stable.")],
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", min=1, help="What it is to point to.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the alias.")] = False,
    as_json: AsJson = False,
) -> None:
    """Point an alias to a version, newly or anew; or remove it."""
    if delete == (version is not None):
        raise typer.BadParameter("give either a VERSION or --delete", param_hint="VERSION")
    with connect(context) as client:
        if version is None:
            model = client.models.delete_alias(name, alias)
        else:
            model = client.models.set_alias(name, alias, version)
    if as_json:
        print_json(model)
    elif version is None:
        make_console().print(f"removed {name}@{alias}")
    else:
        make_console().print(f"{name}@{alias} is version {version}")


@app.command()
def rm(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(metavar="NAME[:VERSION]", help="A model, or one version of it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Remove a model with all its versions, or one version."""
    with connect(context) as client:
        client.models.remove(reference)
    if as_json:
        print_json({"removed": reference})
    else:
        make_console().print(f"removed {reference}")


def _aliases(model: Model) -> str:
    return ", ".join(f"{alias} → {version}" for alias, version in model.aliases.items())


def _show_model(model: Model, versions: list[ModelVersion]) -> None:
    right = ("version", "age", "validation", "test", "parameters", "size")
    table = make_table((*right, "network", "dataset", "aliases"), right=right)
    for one in versions:
        table.add_row(
            str(one.version),
            age(one.create_time),
            "" if one.validation_accuracy is None else percent(one.validation_accuracy),
            percent(one.test_accuracy) if one.test_accuracy is not None else "",
            f"{one.parameters:,}",
            size(one.size_bytes),
            str(one.network.get("name", "layers")),
            one.dataset,
            ", ".join(one.aliases),
        )
    console = make_console()
    console.print(f"{model.name} · since {local_time(model.create_time)}")
    console.print(table)


def _show_version(version: ModelVersion) -> None:
    facts = make_facts()
    facts.add_row("version", f"{version.model}:{version.version}")
    if version.aliases:
        facts.add_row("aliases", ", ".join(version.aliases))
    facts.add_row("made", f"{local_time(version.create_time)} by job {version.job_id}")
    facts.add_row("network", str(version.network.get("name", "layers")))
    facts.add_row("parameters", f"{version.parameters:,} in {size(version.size_bytes)}")
    facts.add_row("input", str(version.preprocessing.shape))
    facts.add_row("classes", ", ".join(version.classes))
    facts.add_row("dataset", version.dataset)
    if version.validation_accuracy is not None:
        accuracy = percent(version.validation_accuracy)
        facts.add_row("validation", f"{accuracy}, epoch {version.epoch} of {len(version.history)}")
    if version.test_accuracy is not None:
        facts.add_row("test", percent(version.test_accuracy))
    facts.add_row("weights", version.weights_digest)
    for name, value in version.fingerprint.items():
        facts.add_row(name, value)
    console = make_console()
    console.print(facts)
    if version.by_class:
        console.print()
        console.print(_by_class(version))


def _by_class(version: ModelVersion) -> Table:
    """How well each class is known, and what it is most often taken for."""
    right = ("images", "precision", "recall")
    table = make_table(("class", *right, "taken for"), right=right)
    for place, one in enumerate(version.by_class):
        wrong = {
            other: count for other, count in enumerate(one.answers) if count and other != place
        }
        most = max(wrong, key=lambda other: wrong[other], default=None)
        table.add_row(
            one.name,
            str(one.images),
            percent(one.precision),
            percent(one.recall),
            "" if most is None else f"{version.by_class[most].name} ({wrong[most]}×)",
        )
    return table
