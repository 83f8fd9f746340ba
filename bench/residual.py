"""The residual paper's first figure at a size that fits: what shortcuts are good for.

    python bench/residual.py [--depths 20 56] [--steps 120] [--out residual.png] [--json]

Trains `plainN` and `resnetN` (He et al. 2015, "Deep Residual Learning", section 4.2) on generated
pictures, alike in everything but the shortcuts, and draws the training loss of each. Exit status 1
where the deepest plain net does not end worse than its residual twin and than the shallowest one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

CLASSES, SIDE, BATCH = 8, 16, 32
_SMOOTHED = 15
_COLOURS = ("#7a8691", "#0b66a6")


def pictures(count: int, *, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Gratings of one of eight directions under noise: images (count, 16, 16, 3), labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    phase, wave = rng.uniform(0, 2 * np.pi, (2, count, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE][:, None]
    grating = np.sin((0.6 + wave / 10) * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    colour = rng.uniform(0.3, 1.0, (count, 1, 1, 3))
    images = grating[..., None] * colour + rng.normal(0, 0.7, (count, SIDE, SIDE, 3))
    return images.astype(np.float32), labels


def losses(name: str, *, steps: int, seed: int) -> list[float]:
    """The training loss of the network `name` at each step."""
    from convnest_core import SGD, Run, build, network, softmax_cross_entropy, zero_grad

    images, labels = pictures(BATCH * steps, seed=seed)
    module = network({"name": name}, classes=CLASSES)
    build(module, (SIDE, SIDE, 3), seed=seed)
    optimizer = SGD(module.parameters(), learning_rate=0.02, momentum=0.9, weight_decay=1e-4)
    found = []
    for step in range(steps):
        rows = np.arange(step * BATCH, (step + 1) * BATCH)
        run = Run(training=True, seed=seed, samples=rows, input_gradient=False)
        zero_grad(module)
        logits, backward = module.forward(images[rows], run)
        loss, dlogits = softmax_cross_entropy(logits, labels[rows])
        backward(dlogits)
        optimizer.step()
        found.append(loss)
    return found


def smoothed(values: list[float]) -> npt.NDArray[np.float64]:
    """The running mean over the last steps."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _SMOOTHED, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def draw(curves: dict[str, list[float]], path: Path) -> None:
    """Plain nets on the left, residual ones on the right, one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, kind in zip(axes, ("plain", "resnet"), strict=True):
        axis.set_title({"plain": "without shortcuts", "resnet": "with shortcuts"}[kind], loc="left")
        names = [name for name in curves if name.startswith(kind)]
        for name, colour, side in zip(names, _COLOURS, ("top", "bottom"), strict=False):
            curve = smoothed(curves[name])
            axis.plot(curve, color=colour, linewidth=2)
            axis.annotate(
                f" {name}", (len(curve) - 1, curve[-1]), color=colour, va=side, weight="bold"
            )
        axis.set_xlabel("step")
        axis.set_xlim(0, 1.22 * len(next(iter(curves.values()))))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e3e6e8")
    axes[0].set_ylabel("training loss")
    figure.savefig(path)


def main() -> int:
    """Train, draw, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs=2, default=[20, 56])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("residual.png"))
    parser.add_argument("--json", action="store_true", help="print the curves as JSON")
    options = parser.parse_args()
    from convnest_core import keep_freed_memory, single_blas_thread

    single_blas_thread()
    keep_freed_memory()
    curves: dict[str, list[float]] = {}
    for kind in ("plain", "resnet"):
        for depth in options.depths:
            started = time.perf_counter()
            name = f"{kind}{depth}"
            curves[name] = losses(name, steps=options.steps, seed=options.seed)
            end = smoothed(curves[name])[-1]
            spent = time.perf_counter() - started
            print(f"{name:10} ends at a loss of {end:.3f} ({spent:.0f} s)", file=sys.stderr)
    draw(curves, options.out)
    print(f"drawn in {options.out}", file=sys.stderr)
    if options.json:
        print(json.dumps(curves))
    shallow, deep = min(options.depths), max(options.depths)
    ends = {name: smoothed(curve)[-1] for name, curve in curves.items()}
    holds = ends[f"plain{deep}"] > max(ends[f"resnet{deep}"], ends[f"plain{shallow}"])
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
