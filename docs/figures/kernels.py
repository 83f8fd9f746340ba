"""The figures of docs/kernels.md: `python docs/figures/kernels.py` draws them into docs/images."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

IMAGES = Path(__file__).parents[1] / "images"

INK, QUIET, LINE = "#1f2933", "#616e7c", "#cbd2d9"
INPUT, INPUT_LIGHT = "#2b6cb0", "#d6e6f5"
WEIGHT, WEIGHT_LIGHT = "#c05621", "#fbe3d2"
RESULT, RESULT_LIGHT = "#2f855a", "#d5eee0"
MIDDLE, MIDDLE_LIGHT = "#6b46c1", "#e6def7"


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Axes whose unit is a tenth of an inch, y downwards, with nothing drawn."""
    figure = plt.figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 10 * width)
    axes.set_ylim(10 * height, 0)
    axes.axis("off")
    return figure, axes


def cell(
    axes: Axes, x: float, y: float, *, size: tuple[float, float], fill: str, edge: str = "white"
) -> None:
    """A filled rectangle with its upper left corner at x, y."""
    axes.add_patch(Rectangle((x, y), *size, facecolor=fill, edgecolor=edge, linewidth=0.8))


def grid(
    axes: Axes, x: float, y: float, *, shape: tuple[int, int], side: float, fill: str, edge: str
) -> None:
    """Rows × columns of square cells."""
    for row in range(shape[0]):
        for column in range(shape[1]):
            cell(axes, x + column * side, y + row * side, size=(side, side), fill=fill, edge=edge)


def frame(axes: Axes, x: float, y: float, *, size: tuple[float, float], color: str) -> None:
    """A rounded outline around a group."""
    box = FancyBboxPatch(
        (x, y),
        *size,
        boxstyle="round,pad=0,rounding_size=1.2",
        facecolor="none",
        edgecolor=color,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
    )
    axes.add_patch(box)


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 9,
    color: str = INK,
    bold: bool = False,
    align: str = "center",
) -> None:
    """Text around x (`align` left: from x on), its middle at y."""
    axes.text(
        x,
        y,
        text,
        fontsize=size,
        color=color,
        fontweight="bold" if bold else "normal",
        ha=align,
        va="center",
        linespacing=1.35,
    )


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    color: str = QUIET,
    bend: float = 0.0,
) -> None:
    """From one point to another."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=5,head_width=2.6",
            connectionstyle=f"arc3,rad={bend}",
            color=color,
            linewidth=1.4,
            shrinkA=0,
            shrinkB=0,
        )
    )


def register_tile() -> Figure:
    """14 pixels × 2 vectors of output channels, as on a CPU with AVX-512."""
    figure, axes = canvas(10, 6.2)
    pixels, lanes = 14, 16
    top, height = 17.0, 2.3
    # The input: 14 pixels, some channels of each; one column is at work.
    left, side = 6.0, 2.3
    for pixel in range(pixels):
        for channel in range(7):
            at_work = channel == 3
            cell(
                axes,
                left + channel * side,
                top + pixel * height,
                size=(side, height),
                fill=INPUT if at_work else INPUT_LIGHT,
            )
    write(axes, left + 3.5 * side, top - 7.5, "x", size=13, color=INPUT, bold=True)
    write(
        axes,
        left + 3.5 * side,
        top - 4.6,
        "14 neighbouring pixels,\nchannel by channel",
        color=QUIET,
    )
    write(axes, left - 2.2, top + pixels * height / 2, "pixels", color=QUIET)
    axes.texts[-1].set_rotation(90)
    write(axes, left + 3.5 * side, top + pixels * height + 2, "channels →", color=QUIET)
    # The weights: two vectors.
    first, wide = 38.0, 1.5
    gap = 1.6
    for vector in range(2):
        begin = first + vector * (lanes * wide + gap)
        for lane in range(lanes):
            cell(axes, begin + lane * wide, 8.6, size=(wide, 2.3), fill=WEIGHT)
        write(
            axes,
            begin + lanes * wide / 2,
            6.6,
            f"vector {vector + 1}: 16 output channels",
            color=QUIET,
        )
    middle = first + lanes * wide + gap / 2
    write(axes, middle, 3.2, "w  for this channel: 2 loads", size=11, color=WEIGHT, bold=True)
    # The accumulators.
    for pixel in range(pixels):
        for vector in range(2):
            begin = first + vector * (lanes * wide + gap)
            for lane in range(lanes):
                cell(
                    axes,
                    begin + lane * wide,
                    top + pixel * height,
                    size=(wide, height - 0.5),
                    fill=RESULT if pixel == 5 else RESULT_LIGHT,
                )
    frame(
        axes,
        first - 1.6,
        top - 1.4,
        size=(2 * lanes * wide + gap + 3.2, pixels * height + 2.4),
        color=RESULT,
    )
    write(
        axes,
        middle,
        top + pixels * height + 3.4,
        "28 vectors that stay in registers while the sums grow",
        size=11,
        color=RESULT,
        bold=True,
    )
    # One pixel's step.
    row = top + 5 * height + (height - 0.5) / 2
    arrow(axes, (left + 4 * side + 0.2, row), (first - 2.0, row), color=INPUT)
    write(axes, 29.6, row - 2.0, "1 broadcast", color=INPUT)
    write(axes, 29.6, row + 2.2, "2 multiply-adds", color=RESULT)
    for vector in range(2):
        center = first + vector * (lanes * wide + gap) + lanes * wide / 2
        arrow(axes, (center, 11.2), (center, top - 1.6), color=WEIGHT)
    step = "for each channel c:  load w[c];  for each pixel p:  acc[p] += x[p, c] · w[c]"
    write(axes, 50, 56.4, step)
    write(axes, 50, 59.4, "28 multiply-adds of 16 lanes from 16 loads, and no store", color=QUIET)
    return figure


def winograd() -> Figure:
    """One pass over a block of tiles, F(4, 3)."""
    figure, axes = canvas(11, 5.0)
    side, top = 1.35, 12.6

    def outline(x: float, y: float, *, cells: int, color: str) -> None:
        """Around a patch."""
        size = cells * side
        axes.add_patch(Rectangle((x, y), size, size, fill=False, edgecolor=color, linewidth=2.0))

    def planes(x: float, *, shape: tuple[int, int], fill: str, edge: str) -> None:
        """Three of the 36 matrices, one behind the other."""
        for depth in (2, 1, 0):
            at = x + 1.1 * depth, top + 2.2 - 1.1 * depth
            front = fill if depth == 0 else "#ffffff"
            grid(axes, *at, shape=shape, side=side, fill=front, edge=edge)

    def heading(x: float, title: str, below: str, color: str) -> None:
        write(axes, x, 5.4, title, size=13, color=color, bold=True)
        write(axes, x, 8.4, below, color=QUIET)

    # The image, with two overlapping patches.
    left = 4.0
    grid(axes, left, top, shape=(10, 10), side=side, fill="#f5f7fa", edge=LINE)
    grid(axes, left, top, shape=(6, 6), side=side, fill=INPUT_LIGHT, edge="white")
    outline(left + 4 * side, top, cells=6, color="#63a4dd")
    outline(left, top, cells=6, color=INPUT)
    heading(left + 5 * side, "x", "6×6 patches, 4 apart", INPUT)
    # The block: transformed patches, weights, products.
    planes(32.0, shape=(8, 5), fill=INPUT_LIGHT, edge=INPUT)
    heading(36.5, "V", "36 × [28 tiles, channels]", INPUT)
    planes(52.0, shape=(5, 6), fill=WEIGHT_LIGHT, edge=WEIGHT)
    heading(57.0, "U = G w Gᵀ", "36 × [channels, filters]", WEIGHT)
    planes(72.0, shape=(8, 6), fill=MIDDLE_LIGHT, edge=MIDDLE)
    heading(77.0, "M = V · U", "36 × [28 tiles, filters]", MIDDLE)
    write(axes, 46.5, 19.6, "·", size=22, bold=True)
    write(axes, 67.2, 19.6, "=", size=15, bold=True)
    frame(axes, 27.4, 2.4, size=(58.4, 26.4), color=MIDDLE)
    write(
        axes,
        56.6,
        31.4,
        "one block of 28 tiles: V and M live in the L2 cache and never see memory",
        size=11,
        color=MIDDLE,
        bold=True,
    )
    # The result.
    right = 96.0
    grid(axes, right, top + 1.35, shape=(8, 8), side=side, fill="#f5f7fa", edge=LINE)
    grid(axes, right, top + 1.35, shape=(4, 4), side=side, fill=RESULT_LIGHT, edge="white")
    outline(right, top + 1.35, cells=4, color=RESULT)
    heading(right + 4 * side, "y", "tiles of 4×4", RESULT)
    middle = 19.4
    arrow(axes, (left + 10 * side + 1.0, middle), (31.0, middle), color=INPUT)
    write(axes, 22.4, middle - 2.2, "Bᵀ d B", color=INPUT, bold=True)
    arrow(axes, (83.6, middle), (right - 1.0, middle), color=RESULT)
    write(axes, 90.8, middle - 2.2, "Aᵀ m A", color=RESULT, bold=True)
    write(axes, 90.8, middle + 4.2, "+ bias\n+ residual\nReLU", size=8.5, color=RESULT)
    # The count.
    base = 36.6
    text = "multiplications for one tile of one channel and one filter"
    write(axes, 19.0, base, text, color=QUIET, align="left")
    for y, count, text, color, fill in (
        (base + 2.2, 144, "direct   4·4·3·3 = 144", WEIGHT, WEIGHT_LIGHT),
        (base + 6.4, 36, "Winograd   6·6 = 36", MIDDLE, MIDDLE_LIGHT),
    ):
        cell(axes, 19.0, y, size=(count / 2, 3.0), fill=fill, edge=color)
        write(axes, 20.2, y + 1.5, text, align="left", color=color, size=8.5, bold=True)
    return figure


def batch_vector() -> Figure:
    """A convolution of sixteen images at once, next to one whose vectors hold channels."""
    figure, axes = canvas(11, 5.2)
    side, lane_side, lanes = 1.5, 1.1, 16

    def vector(x: float, y: float, *, fill: str, edge: str = "white") -> None:
        for lane in range(lanes):
            at = x + lane * lane_side, y
            cell(axes, *at, size=(lane_side, 2.4), fill=fill, edge=edge)

    # Channels along the vector: one lane of sixteen is of use.
    write(axes, 17.5, 4.0, "channels along the vector", size=12, bold=True)
    write(axes, 17.5, 7.2, "LeNet's first layer has one", color=QUIET)
    grid(axes, 11.5, 15.0, shape=(8, 8), side=side, fill=INPUT_LIGHT, edge="white")
    cell(axes, 11.5 + 3 * side, 15.0 + 3 * side, size=(side, side), fill=INPUT)
    begin = 17.5 - lanes * lane_side / 2
    arrow(axes, (11.5 + 3.2 * side, 15.0 + 4.1 * side), (begin + 0.6, 35.4), color=INPUT)
    vector(begin, 36.0, fill="#f5f7fa", edge=LINE)
    cell(axes, begin, 36.0, size=(lane_side, 2.4), fill=INPUT)
    write(axes, 17.5, 41.2, "1 of 16 lanes works", color=WEIGHT, bold=True)
    axes.plot([36.0, 36.0], [3.0, 49.0], color=LINE, linewidth=1.2)
    # The batch along the vector.
    write(axes, 73.0, 4.0, "the batch along the vector", size=12, bold=True)
    write(axes, 73.0, 7.2, "one pixel of 16 images side by side: every lane works", color=QUIET)
    left, top = 41.5, 22.0
    for image in reversed(range(lanes)):
        at = left + 0.55 * image, top - 0.5 * image
        cell(axes, *at, size=(8 * side, 8 * side), fill="#ffffff", edge=INPUT)
    grid(axes, left, top, shape=(8, 8), side=side, fill=INPUT_LIGHT, edge="white")
    cell(axes, left + 3 * side, top + 3 * side, size=(side, side), fill=INPUT)
    write(axes, left + 4 * side, 36.4, "16 images", color=QUIET)
    start = 78.0
    arrow(axes, (63.0, 17.4), (start - 1.0, 15.8), color=INPUT)
    write(axes, start, 12.8, "x: one load for 16 images", color=INPUT, align="left")
    vector(start, 14.6, fill=INPUT)
    write(axes, start + lanes * lane_side / 2, 18.8, "×", size=13, bold=True)
    write(axes, start, 21.4, "w: one weight in all lanes", color=WEIGHT, align="left")
    vector(start, 23.0, fill=WEIGHT_LIGHT, edge=WEIGHT)
    arrow(axes, (start + 8.8, 25.9), (start + 8.8, 30.0), color=RESULT)
    write(axes, start - 10.4, 31.6, "2×2 outputs grow in registers", color=RESULT, align="left")
    for row in range(2):
        for column in range(2):
            at = start - 10.4 + column * 18.8, 33.2 + row * 3.2
            vector(*at, fill=RESULT if row == column == 0 else RESULT_LIGHT)
    arrow(axes, (start + 7.8, 39.4), (start + 7.8, 43.0), color=RESULT)
    write(axes, start + 9.4, 41.2, "bias, ReLU, the largest", color=RESULT, align="left")
    vector(start - 1.0, 43.6, fill=RESULT)
    write(axes, start + 7.8, 48.2, "a pooled output of 16 images", color=RESULT, bold=True)
    return figure


def main() -> None:
    """Write the three pictures; the same bytes each time."""
    plt.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "convnest"})
    for name, draw in (
        ("register-tile", register_tile),
        ("winograd", winograd),
        ("batch-vector", batch_vector),
    ):
        figure = draw()
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
