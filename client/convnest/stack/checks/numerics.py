"""What the network library computes with, as the worker's own process reports it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .check import Check, ok, problem, warning

_COMMAND = (sys.executable, "-P", "-m", "convnest_worker.doctor")
_TIMEOUT_S = 120.0
_KERNELS = "CONVNEST_KERNELS"
_CORE_TYPE = "OPENBLAS_CORETYPE"
_L2_SIZE = "OPENBLAS_L2_SIZE"


def numerics_checks(command: Sequence[str] = _COMMAND) -> Iterator[Check]:
    """Kernel set, BLAS, CPU features; and whether the environment makes them slower."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        facts = _ask(command, environment)
        yield _check_kernels(facts["generated"], environment)
        yield _check_blas(facts, command, environment)
        yield ok("cpu", facts["cpu"])
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        yield problem("network library", _why(error), "pip install 'convnest[all]'")


def _check_kernels(generated: Mapping[str, Any] | None, environment: Mapping[str, str]) -> Check:
    if generated is None:
        if environment.get(_KERNELS) == "numpy":
            return ok("kernels", f"NumPy's, as {_KERNELS}=numpy demands")
        return warning(
            "kernels",
            "NumPy's",
            "with Numba (pip install 'convnest[worker]'), on a CPU with AVX2 or NEON, "
            "generated ones are several times as fast",
        )
    ready, total = generated["ready"], generated["total"]
    found = f"generated ({generated['vectors']}), {ready} of {total} in {generated['folder']}"
    if ready == total:
        return ok("kernels", found)
    if generated["problem"]:
        advice = f"{generated['problem']}: set CONVNEST_KERNEL_CACHE to a folder of yours"
    else:
        advice = "python -m convnest_core.kernels compile; a worker does it at its start, too"
    return warning("kernels", found, advice)


def _check_blas(
    facts: Mapping[str, Any], command: Sequence[str], environment: Mapping[str, str]
) -> Check:
    found = (
        f"{facts['blas']}, core type {facts['blas_core']}, {facts['blas_threads']} thread a process"
    )
    tuned = [name for name in (_CORE_TYPE, _L2_SIZE) if name in environment]
    if not tuned:
        return ok("blas", found)
    untuned = {name: value for name, value in environment.items() if name not in tuned}
    best_core = _ask(command, untuned)["blas_core"]
    if best_core == facts["blas_core"] and _L2_SIZE not in tuned:
        return ok("blas", found)
    settings = " and ".join(f"{name}={environment[name]}" for name in tuned)
    return warning(
        "blas",
        f"{found}, as {settings} demand{'s' if len(tuned) == 1 else ''}",
        f"unset {' and '.join(tuned)}: on its own, BLAS chooses core type {best_core} here, "
        "which can be twice as fast",
    )


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    run = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    facts: dict[str, Any] = json.loads(run.stdout)
    return facts


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        return lines[-1] if lines else f"the worker's report ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"the worker's report took longer than {_TIMEOUT_S:g} s"
    return f"the worker's report cannot be read: {error}"
