"""How much faster a team is than one process: a training step, or inference, on one network.

    python bench/team_scaling.py [--network resnet18] [--size 224] [--batch 16] [--infer] [--json]

One process and the team take turns (A B A B) in one run; a team that waits for its turn sleeps.
Prints the median of each and their ratio. Run it on an idle machine: where others want the cores,
the ratio tells of them. The ratio of CPU times (one process' to the busiest member's) tells how
well the work is split even then.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# Presets that halve matrix products are not for measurements.
CLEARED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Medians in milliseconds, and what they were taken with."""
    import numpy as np
    from convnest_core import fingerprint, keep_freed_memory
    from convnest_core.team import TeamTrainer

    keep_freed_memory()
    rng = np.random.default_rng(0)
    channels = options.channels
    x = rng.standard_normal((options.batch, options.size, options.size, channels), np.float32)
    labels = rng.integers(0, options.classes, options.batch)
    samples = np.arange(options.batch)
    optimizer = ("convnest_core:SGD", {"learning_rate": 0.001, "momentum": 0.9})

    def made(processes: int) -> TeamTrainer:
        return TeamTrainer(
            {"name": options.network},
            classes=options.classes,
            shape=x.shape[1:],
            seed=0,
            processes=processes,
            batch=options.batch,
            optimizer=None if options.infer else optimizer,
        )

    def turn(trainer: TeamTrainer) -> Callable[[], object]:
        if options.infer:
            return lambda: trainer(x)
        return lambda: trainer.step(x, labels, samples=samples)

    spent: dict[int, list[float]] = {1: [], options.processes: []}
    busiest_ms: dict[int, list[float]] = {1: [], options.processes: []}
    with made(1) as one, made(options.processes) as team:
        turns = {1: turn(one), options.processes: turn(team)}
        pids = {1: one.pids, options.processes: team.pids}
        for take in turns.values():
            take()
        for _ in range(options.rounds):
            for processes, take in turns.items():
                for _ in range(options.repeats):
                    before = cpu_ms(pids[processes])
                    began = time.perf_counter()
                    take()
                    spent[processes].append(1e3 * (time.perf_counter() - began))
                    after = cpu_ms(pids[processes])
                    member_ms = (b - a for a, b in zip(before, after, strict=True))
                    busiest_ms[processes].append(max(member_ms))
    one_ms, team_ms = (statistics.median(times) for times in spent.values())
    return {
        "network": options.network,
        "what": "inference" if options.infer else "training step",
        "batch": options.batch,
        "processes": options.processes,
        "one_ms": one_ms,
        "team_ms": team_ms,
        "ratio": one_ms / team_ms,
        "best_ratio": min(spent[1]) / min(spent[options.processes]),
        "cpu_ratio": statistics.median(busiest_ms[1])
        / max(statistics.median(busiest_ms[options.processes]), 1e-9),
        "blas_core": fingerprint()["blas_core"],
    }


def cpu_ms(pids: Sequence[int]) -> list[float]:
    """CPU time of each process' main thread, which does the work; zeros where /proc has none."""
    files = [Path(f"/proc/{pid}/schedstat") for pid in pids]
    return [int(file.read_text().split()[0]) / 1e6 if file.exists() else 0.0 for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description="How much faster a team is than one process.")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--size", type=int, default=224, help="height and width of an image")
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--infer", action="store_true", help="inference instead of training")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2, help="of each in a round")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if any(name in os.environ for name in CLEARED) or "OPENBLAS_NUM_THREADS" not in os.environ:
        # BLAS reads these when it is loaded.
        environment = {name: value for name, value in os.environ.items() if name not in CLEARED}
        environment["OPENBLAS_NUM_THREADS"] = "1"
        again = subprocess.run([sys.executable, *sys.argv], env=environment, check=False)
        sys.exit(again.returncode)
    found = measured(options)
    if options.json:
        print(json.dumps(found))
        return
    print(
        "{network} {what}, batch {batch}: one process {one_ms:.1f} ms, team of {processes} "
        "{team_ms:.1f} ms, ratio {ratio:.2f} (of the best {best_ratio:.2f}, of CPU time "
        "{cpu_ratio:.2f}); {blas_core}".format(**found)
    )


if __name__ == "__main__":
    main()
