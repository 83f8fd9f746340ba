"""A process that runs one case for one library, a turn whenever it is told to.

It is told by lines of JSON on its standard input and blocks there between turns.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TURN_S = 0.5
_FEWEST = 3

Step = Callable[[], object]


def serve(make: Callable[[dict[str, Any]], tuple[Step, dict[str, Any]]]) -> None:
    """Run the loop; `make` prepares a case and returns its step, and what there is to tell."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=answers, flush=True)

    step, told = make(json.loads(sys.stdin.readline()))
    step()
    answer({**told, "ready": True})
    for line in sys.stdin:
        if json.loads(line) == "turn":
            answer({"seconds": _turn(step)})
        else:
            answer({"peak_bytes": peak_bytes()})


def _turn(step: Step) -> float:
    step()  # the other side's turn has emptied the caches
    times: list[float] = []
    end = time.perf_counter() + TURN_S
    while len(times) < _FEWEST or time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak_bytes() -> int:
    """The most memory this process and its children have held; shared pages count once."""
    total = 0
    for number, pid in enumerate([os.getpid(), *_children(os.getpid())]):
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        total += _kilobytes(status["VmHWM"])
        if number:
            total -= _kilobytes(status["RssShmem"])
    return total * 1024


def _kilobytes(field: str) -> int:
    return int(field.split()[0])


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
