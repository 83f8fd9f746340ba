"""One aligned row for each epoch."""

from __future__ import annotations

from typing import Final

from convnest import EpochMetrics
from convnest.cli.output import duration, percent
from rich.text import Text

HEADER: Final = Text(
    f"{'epoch':>8}  {'loss':>9}  {'accuracy':>9}  {'val. loss':>9}  {'val. acc.':>9}  {'time':>8}",
    style="dim",
)


class EpochRows:
    """Turns metrics into rows; the best validation accuracy so far stands out."""

    def __init__(self, epochs: int | None) -> None:
        self.epochs = epochs
        self._best = -1.0

    def row(self, metrics: EpochMetrics) -> Text:
        epoch = f"{metrics.epoch}/{self.epochs}" if self.epochs else str(metrics.epoch)
        is_best = metrics.validation_accuracy > self._best
        self._best = max(self._best, metrics.validation_accuracy)
        return Text.assemble(
            f"{epoch:>8}  ",
            f"{metrics.train_loss:>9.4f}  {percent(metrics.train_accuracy):>9}  ",
            f"{metrics.validation_loss:>9.4f}  ",
            (f"{percent(metrics.validation_accuracy):>9}", "bold green" if is_best else ""),
            (f"  {duration(metrics.seconds):>8}", "dim"),
        )
