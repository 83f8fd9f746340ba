"""`convnest train`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from convnest import Job, LayerSummary, TrainSpec
from convnest.cli.context import AsJson, CommandFailed, connect
from convnest.cli.describing import describe, outcome
from convnest.cli.following import History, follow, follow_as_json, job_goes_on
from convnest.cli.job_file import load_job_file, parse_option
from convnest.cli.json_output import print_json
from convnest.cli.output import make_console, make_facts, make_table
from convnest.plot import check_plot, save_learning_curve
from rich.console import Console
from rich.text import Text


def train(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A YAML file of the settings below; options override."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="The dataset to train on.")] = None,
    network: Annotated[str | None, typer.Option(help="Its architecture: lenet, mlp, …")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the network, NAME=VALUE; repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to add a version to.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the images; 20 by default.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step; 64 by default.")] = None,
    optimizer: Annotated[
        list[str] | None,
        typer.Option(
            help="sgd (default), adam, adamw or rmsprop; or a setting, NAME=VALUE; repeatable."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Step size; 0.02 by default, 0.001 for all but sgd.")
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Of sgd and rmsprop, in [0, 1); sgd: 0.9 by default.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="L2 penalty on weights; 1e-4 by default with sgd.")
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(
            help="How the step size changes: constant (default), step, plateau, cosine or "
            "one_cycle; or a setting of it, NAME=VALUE; repeatable."
        ),
    ] = None,
    loss: Annotated[str | None, typer.Option(help="cross_entropy (default) or squared.")] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            help="Vary training images: crop, flip, resized_crop, rotate, jitter, lighting, cutout "
            "or mixup, with their defaults; repeatable. Settings go into a job file."
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of each label spread over all classes; 0.")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of the images to validate on; 0.15 by default.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Whose weights: the last epoch's (default), or best."),
    ] = None,
    stop_patience: Annotated[
        int | None, typer.Option(help="End after so many epochs without improvement; 0: never.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice; 0 by default.")] = None,
    checkpoint_interval: Annotated[
        float | None, typer.Option(help="Seconds between checkpoints; 30 by default.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(help="-100 to 100, higher runs first; 0 by default.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Follow the job and save its learning curve as a PNG.")
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check the job and show the network only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on a dataset; the result becomes the next version of a model."""
    fields = load_job_file(file) if file is not None else {}
    given = {
        "dataset": dataset,
        "network": network,
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "loss": loss,
        "label_smoothing": label_smoothing,
        "augment": augment,
        "validation_fraction": validation,
        "keep": keep,
        "stop_patience": stop_patience,
        "seed": seed,
        "checkpoint_interval_s": checkpoint_interval,
        "priority": priority,
    }
    fields |= {name: value for name, value in given.items() if value is not None}
    for name, words in (("optimizer", optimizer), ("schedule", schedule)):
        if words:
            fields[name] = _with_settings(fields.get(name), words, option=f"--{name}")
    for name in ("dataset", "network", "model"):
        if name not in fields:
            raise typer.BadParameter("give it here or in a job file", param_hint=f"--{name}")
    fields["network"] = _with_options(fields["network"], option or [])
    chosen_priority = fields.pop("priority", 0)
    if not isinstance(chosen_priority, int):
        raise CommandFailed(f"priority: must be a whole number, got {chosen_priority!r}")
    settings: dict[str, Any] = fields  # from a file: the SDK checks the type of each value
    spec = TrainSpec(**settings)
    if plot is not None:
        check_plot(plot)

    console = make_console()
    with connect(context) as client:
        if validate_only:
            full_spec, layers = client.jobs.validate(spec, priority=chosen_priority)
            _show_check(console, full_spec, layers, as_json=as_json)
            return
        job = client.jobs.submit(spec, priority=chosen_priority)
        if watch or plot is not None:
            watch_training(job, console, plot=plot, as_json=as_json)
        elif as_json:
            print_json({"job": job})
        else:
            console.print(f"job {job.id} is queued; watch it with: convnest jobs watch {job.id}")


def watch_training(job: Job, console: Console, *, plot: Path | None, as_json: bool) -> Job:
    """Follows a job to its success, says what it made, and draws its learning curve."""
    history = History()
    with job_goes_on(job):
        if as_json:
            job = follow_as_json(job, on_event=history.add)
        else:
            console.print(f"job {job.id} · {describe(job)}")
            job = follow(job, console, on_event=history.add)
            console.print()
            console.print(Text(f"✓ {outcome(job)}", style="green"))
    if plot is not None:
        save_learning_curve(history.epochs, plot, title=describe(job))
        if not as_json:
            console.print(f"learning curve: {plot}", soft_wrap=True)
    return job


def _with_options(network: object, options: list[str]) -> object:
    """The network with what `--option` adds to its options."""
    if not options:
        return network
    named = {"name": network} if isinstance(network, str) else network
    if not isinstance(named, Mapping) or "name" not in named:
        raise CommandFailed("--option needs a network that is given by name")
    present = named.get("options") or {}
    if not isinstance(present, Mapping):
        raise CommandFailed(f"network.options: must be a mapping, got {present!r}")
    return {**named, "options": {**present, **dict(map(parse_option, options))}}


def _with_settings(present: object, words: list[str], *, option: str) -> dict[str, object]:
    """What a job file says of an optimizer or a schedule, and what its options add to that.

    A word without `=` is another one's name: the settings of the file's are then none of its.
    """
    settings: dict[str, object] = {}
    if isinstance(present, str):
        settings = {"name": present}
    elif isinstance(present, Mapping):
        settings = dict(present)
    for word in words:
        if "=" not in word:
            settings = {"name": word}
    return settings | dict(parse_option(word, option=option) for word in words if "=" in word)


def _show_check(
    console: Console, spec: TrainSpec, layers: Sequence[LayerSummary], *, as_json: bool
) -> None:
    if as_json:
        print_json({"spec": spec, "layers": layers})
        return
    facts = make_facts()
    for name, value in vars(spec).items():
        if name != "network" and value is not None:
            facts.add_row(name, str(value))
    table = make_table(("layer", "kind", "output", "parameters"), right=("output", "parameters"))
    for layer in layers:
        output = "×".join(map(str, layer.output_shape))
        table.add_row(layer.path, layer.kind, output, f"{layer.parameters:,}")
    table.add_row("", "", "total", f"{sum(layer.parameters for layer in layers):,}", style="bold")
    console.print(facts)
    console.print()
    console.print(table)
