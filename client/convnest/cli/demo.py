"""`convnest demo`: the whole journey, from nothing to classified pictures, with one command."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from convnest import Classification, Client, Job, Sample, TrainResult, connect
from convnest.cli.context import AsJson, CommandFailed
from convnest.cli.datasets import contents, file_name_part
from convnest.cli.describing import outcome
from convnest.cli.following import History, follow
from convnest.cli.json_output import print_json
from convnest.cli.output import bar, make_console, make_table, percent
from convnest.plot import check_matplotlib, save_learning_curve
from rich.console import Console
from rich.text import Text

DATASET: Final = "digits"
MODEL: Final = "digits-lenet"
NETWORK: Final = "lenet"
WANTED_ACCURACY: Final = 0.98
_BAR_WIDTH: Final = 16


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("demo-output"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Start everything, train a LeNet on handwritten digits, classify ten, and clean up."""
    from convnest.stack import Stack, StackOptions

    check_matplotlib()
    curve, folder = out / "learning-curve.png", out / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    console = make_console()
    console.quiet = as_json
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it cleans up as Ctrl-C does
    with ExitStack() as house:
        data_dir = house.enter_context(tempfile.TemporaryDirectory(prefix="convnest-demo-"))
        _step(console, "Starting Redis, a worker and the server")
        with console.status("starting"):
            # As constructed, the options are ours alone, whatever the environment says.
            options = StackOptions.model_construct(data_dir=Path(data_dir), port=0)
            stack = house.enter_context(Stack(options))
        client = house.enter_context(connect(stack.address))
        _done(console, f"ready on {stack.address}")

        _step(console, "Adding the dataset of scanned handwritten digits")
        follow(client.datasets.add(DATASET, builtin="digits"), console)
        _done(console, contents(client.datasets.get(DATASET)))

        _step(console, "Training a LeNet on them")
        job = _train(console, client, epochs=epochs, curve=curve)

        _step(console, "Classifying ten digits that it has never seen")
        samples = _write_samples(client, folder)
        results = client.classify(MODEL, [path for path, _ in samples], top_k=3)
        _show(console, samples, results)
        _step(console, "Stopping everything")
    _done(console, f"learning curve: {curve}")
    _done(console, f"ten digits: {folder}")
    if as_json:
        print_json(_document(job, curve, samples, results))
    _judge(job)


def _train(console: Console, client: Client, *, epochs: int, curve: Path) -> Job:
    job = client.train(dataset=DATASET, network=NETWORK, model=MODEL, epochs=epochs, seed=0)
    history = History()
    job = follow(job, console, on_event=history.add)
    console.print()
    _done(console, outcome(job))
    save_learning_curve(history.epochs, curve, title="LeNet on handwritten digits")
    return job


def _write_samples(client: Client, folder: Path) -> Sequence[tuple[Path, Sample]]:
    """Ten digits that the training never saw, each with the file it was written to."""
    written = []
    for sample in client.datasets.sample(DATASET, split="test", count=10):
        path = folder / f"{sample.index}-{file_name_part(sample.label)}.png"
        path.write_bytes(sample.png)
        written.append((path, sample))
    return written


def _show(
    console: Console,
    samples: Sequence[tuple[Path, Sample]],
    results: Sequence[Classification],
) -> None:
    table = make_table(("", "file", "truth", "answer", "", "", "then"))
    for (path, sample), result in zip(samples, results, strict=True):
        is_right = result.label == sample.label
        best, *others = result.scores
        table.add_row(
            Text("✓", style="green") if is_right else Text("✗", style="red"),
            Text(path.name, style="dim"),
            sample.label,
            Text(best.label, style="bold" if is_right else "bold red"),
            f"{percent(best.probability):>7}",
            Text(f"{bar(best.probability, _BAR_WIDTH):<{_BAR_WIDTH}}", style="cyan"),
            Text("  ".join(f"{one.label} {percent(one.probability)}" for one in others), "dim"),
        )
    console.print()
    console.print(table)


def _document(
    job: Job,
    curve: Path,
    samples: Sequence[tuple[Path, Sample]],
    results: Sequence[Classification],
) -> dict[str, object]:
    return {
        "job": job,
        "learning_curve": str(curve),
        "digits": [
            {"path": str(path), "label": sample.label, "top": result.scores}
            for (path, sample), result in zip(samples, results, strict=True)
        ],
    }


def _judge(job: Job) -> None:
    made = job.result
    accuracy = made.validation_accuracy if isinstance(made, TrainResult) else 0.0
    if accuracy < WANTED_ACCURACY:
        raise CommandFailed(
            f"validation accuracy must be ≥ {WANTED_ACCURACY:.0%}, got {accuracy:.2%}"
        )


def _step(console: Console, text: str) -> None:
    console.print()
    console.print(Text(f"▸ {text}", style="bold"))


def _done(console: Console, text: str) -> None:
    console.print(Text(f"✓ {text}", style="green"), soft_wrap=True)
