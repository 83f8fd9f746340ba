"""ConvNest's side: `python ours.py PROCESSES`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from convnest_core import fingerprint, keep_freed_memory
from convnest_core.planning.team import TeamPlan
from convnest_core.team import TeamTrainer
from side import Step, serve

PROCESSES = int(sys.argv[1])


def make(case: dict[str, Any]) -> tuple[Step, dict[str, Any]]:
    """A step over `PROCESSES` processes; one process is a team of one."""
    keep_freed_memory()
    spec = {"name": case["network"], "options": case["options"]}
    shape, classes, batch = tuple(case["shape"]), case["classes"], case["batch"]
    x = np.random.default_rng(0).standard_normal((batch, *shape)).astype(np.float32)
    known = fingerprint()
    told = {"core": known["blas_core"], "kernels": known["kernels"], "fingerprint": known}
    if case["kind"] == "inference":
        plan = TeamPlan(
            spec,
            classes=classes,
            shape=shape,
            processes=PROCESSES,
            max_batch=batch,
        )
        return lambda: plan(x), told
    labels = np.arange(batch) % classes
    trainer = TeamTrainer(
        spec,
        classes=classes,
        shape=shape,
        seed=0,
        processes=PROCESSES,
        batch=batch,
        optimizer=("convnest_core:SGD", {"learning_rate": 1e-4, "momentum": 0.9}),
    )
    samples = np.arange(batch)
    return lambda: trainer.step(x, labels, samples=samples), told


serve(make)
