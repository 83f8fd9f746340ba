"""The other end of `side.py`: starts the processes and gives them turns."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cases import Case

_HERE = Path(__file__).parent
_ENDS_WITHIN_S = 20


class SideFailed(Exception):
    """A side that could not run its case."""


class Side:
    """One library's process (and its children) for one case; stopped whenever it has no turn."""

    def __init__(
        self,
        name: str,
        script: str,
        *arguments: str,
        case: Case,
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, _HERE / script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.told = self._ask(case.data())
        self._signal(signal.SIGSTOP)

    def turn(self) -> float:
        """The median seconds of one step."""
        self._signal(signal.SIGCONT)
        seconds: float = self._ask("turn")["seconds"]
        self._signal(signal.SIGSTOP)
        return seconds

    def close(self) -> int:
        """End it; returns the most bytes of memory that it held."""
        self._signal(signal.SIGCONT)
        try:
            peak: int = self._ask("end")["peak_bytes"]
        finally:
            self.kill()
        return peak

    def kill(self) -> None:
        """End it now, its children too."""
        self._signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_WITHIN_S)

    def _ask(self, value: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(value), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SideFailed(f"{self.name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def compile_seconds(case: Case, environment: Mapping[str, str]) -> float:
    """How long `plan` takes for a case's network, in a process of its own."""
    command = [sys.executable, str(_HERE / "compile_time.py"), json.dumps(case.data())]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    seconds: float = json.loads(done.stdout)
    return seconds


def conditions(kernels: str, *, avx2: bool) -> Mapping[str, str]:
    """The environment of every side.

    OpenBLAS chooses its core type by the CPU, and has one thread from the start. PyTorch's
    processes get a malloc that keeps what is freed, as ours sets up for itself. With `avx2` Numba,
    OpenBLAS, ATen and oneDNN are told that the CPU has no AVX-512; ONNX Runtime cannot be told.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS"}
    }
    held = {
        **_settings(Path(__file__).parents[2] / "tests" / "avx2.env"),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }
    return {
        **kept,
        "CONVNEST_KERNELS": kernels,
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        **(held if avx2 else {}),
    }


def _settings(path: Path) -> Mapping[str, str]:
    """NAME=value, one a line."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
