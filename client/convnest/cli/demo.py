"""`convnest demo`: the whole journey, from nothing to classified pictures, with one command."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from convnest import Classification, Client, Job, Sample, TrainResult, connect
from convnest.cli.classify import results_table
from convnest.cli.context import CommandFailed
from convnest.cli.datasets import file_name_part
from convnest.cli.describing import outcome
from convnest.cli.following import History, follow
from convnest.cli.output import make_console
from convnest.plot import check_matplotlib, save_learning_curve
from rich.console import Console
from rich.text import Text

DATASET: Final = "digits"
MODEL: Final = "digits-lenet"
NETWORK: Final = "lenet"
WANTED_ACCURACY: Final = 0.98


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("demo-output"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 20,
) -> None:
    """Start everything, train a LeNet on handwritten digits, classify ten, and clean up."""
    from convnest.stack import Stack, StackOptions

    check_matplotlib()
    console = make_console()
    with tempfile.TemporaryDirectory(prefix="convnest-demo-") as data_dir:
        options = StackOptions(**_private(Path(data_dir)))
        _step(console, "Starting Redis, a worker and the server")
        with Stack(options) as stack, connect(stack.address) as client:
            _step(console, "Adding the dataset of scanned handwritten digits")
            follow(client.datasets.add(DATASET, builtin="digits"), console)
            job = _train(console, client, epochs=epochs, curve=out / "learning-curve.png")
            samples = _write_samples(client, out / "digits")
            results = client.classify(MODEL, [path for path, _ in samples], top_k=3)
            _show(console, samples, results)
            _step(console, "Stopping everything")
    console.print(f"Learning curve and digits are in {out}", soft_wrap=True)
    _judge(job)


def _train(console: Console, client: Client, *, epochs: int, curve: Path) -> Job:
    _step(console, "Training a LeNet on them")
    job = client.train(dataset=DATASET, network=NETWORK, model=MODEL, epochs=epochs, seed=0)
    history = History()
    job = follow(job, console, on_event=history.add)
    _done(console, outcome(job))
    curve.parent.mkdir(parents=True, exist_ok=True)
    save_learning_curve(history.epochs, curve, title="LeNet on handwritten digits")
    return job


def _write_samples(client: Client, folder: Path) -> Sequence[tuple[Path, Sample]]:
    """Ten digits that the training never saw, each with the file it was written to."""
    folder.mkdir(parents=True, exist_ok=True)
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
    _step(console, f"Classifying {len(samples)} digits that it has never seen")
    names = []
    for (path, sample), result in zip(samples, results, strict=True):
        is_right = result.label == sample.label
        mark = ("✓ ", "green") if is_right else ("✗ ", "red")
        names.append(Text.assemble(mark, f"a {sample.label}  ", (path.name, "dim")))
    console.print(results_table(names, results))


def _judge(job: Job) -> None:
    made = job.result
    accuracy = made.validation_accuracy if isinstance(made, TrainResult) else 0.0
    if accuracy < WANTED_ACCURACY:
        raise CommandFailed(
            f"validation accuracy must be ≥ {WANTED_ACCURACY:.0%}, got {accuracy:.2%}"
        )


def _private(data_dir: Path) -> dict[str, Any]:  # Any: each option is of its own type
    """Options of a stack that shares nothing with others, whatever the environment says."""
    return {"data_dir": data_dir, "port": 0, "state_url": None, "queue_url": None}


def _step(console: Console, text: str) -> None:
    console.print()
    console.print(Text(f"▸ {text}", style="bold"))


def _done(console: Console, text: str) -> None:
    console.print(Text(f"✓ {text}", style="green"))
