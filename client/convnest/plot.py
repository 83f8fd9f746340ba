"""The learning curve of a training job as a picture. Needs matplotlib: the extra `plot`."""

from __future__ import annotations

import errno
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convnest.errors import ConvNestError
from convnest.job_types import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK: Final = "#1f2933"
_FAINT: Final = "#7b8794"
_GRID: Final = "#e4e7eb"
_TRAINING: Final = "#9aa5b1"
_VALIDATION: Final = "#0b69a3"

# From this many epochs on, dots on the lines would be noise.
_DOTS_UP_TO: Final = 25


def check_matplotlib() -> None:
    """Raises ConvNestError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConvNestError("drawing needs matplotlib: pip install 'convnest[plot]'")


def check_plot(path: Path) -> None:
    """Raises now what would keep `save_learning_curve` from writing `path` after the training."""
    check_matplotlib()
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def save_learning_curve(history: Sequence[EpochMetrics], path: Path, *, title: str) -> None:
    """Draws loss and accuracy over the epochs, in training and validation, as a PNG at `path`.

    Raises ConvNestError without matplotlib or without a finished epoch; OSError where `path`
    cannot be written.
    """
    check_matplotlib()
    if not history:
        raise ConvNestError("there is no finished epoch to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # An epoch that was trained anew after a crash counts as it was the last time.
    epochs = sorted({epoch.epoch: epoch for epoch in history}.values(), key=lambda one: one.epoch)
    figure = Figure(figsize=(10, 4.4), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    loss, accuracy = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.05, right=0.925, top=0.76, bottom=0.13, wspace=0.24)
    figure.text(0.05, 0.925, title, fontsize=14, fontweight="bold", color=_INK)
    figure.text(0.05, 0.865, "training", fontsize=10.5, color=_FAINT)
    figure.text(0.122, 0.865, "validation", fontsize=10.5, color=_VALIDATION, fontweight="bold")

    xs = [one.epoch for one in epochs]
    _draw(loss, xs, [one.train_loss for one in epochs], [one.validation_loss for one in epochs])
    last = epochs[-1]
    _finish(loss, "loss", (last.epoch, last.validation_loss), f"{last.validation_loss:.3f}")
    loss.set_ylim(bottom=0)

    _draw(
        accuracy,
        xs,
        [100 * one.train_accuracy for one in epochs],
        [100 * one.validation_accuracy for one in epochs],
    )
    share = 100 * last.validation_accuracy
    _finish(accuracy, "accuracy", (last.epoch, share), f"{share:.1f} %")
    lowest = 100 * min(min(one.train_accuracy, one.validation_accuracy) for one in epochs)
    accuracy.set_ylim(bottom=min(95, 10 * (lowest // 10)), top=100.6)
    accuracy.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    figure.savefig(path, format="png")


def _draw(
    axes: Axes, xs: Sequence[int], training: Sequence[float], validation: Sequence[float]
) -> None:
    marker = "o" if len(xs) <= _DOTS_UP_TO else None
    axes.plot(xs, training, color=_TRAINING, linewidth=1.8, marker=marker, markersize=3.2)
    axes.plot(xs, validation, color=_VALIDATION, linewidth=2.2, marker=marker, markersize=3.8)


def _finish(axes: Axes, name: str, last: tuple[float, float], text: str) -> None:
    """Titles and ticks; and the last validation value as `text` beside its dot."""
    from matplotlib.ticker import MaxNLocator

    x, y = last
    axes.plot([x], [y], marker="o", markersize=6.5, color=_VALIDATION, clip_on=False, zorder=5)
    axes.annotate(
        text,
        last,
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=_VALIDATION,
        fontsize=10.5,
        fontweight="bold",
        annotation_clip=False,
    )
    axes.set_title(name, loc="left", fontsize=11, color=_INK, pad=10)
    axes.set_xlabel("epoch", fontsize=9.5, color=_FAINT, loc="right")
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    axes.set_xlim(0.5, last[0] + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(colors=_FAINT, labelsize=9, length=0, pad=6)
    axes.grid(axis="y", color=_GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
