"""A process that has a team, and answers in JSON.

    python -m support.team_host SCENARIO START PROCESSES

A process of its own, because only one with a single thread may fork, and because some are killed.
"""

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from convnest_core.kernels import use_kernels
from convnest_core.kernels.simd.machine import machine
from convnest_core.team import Team, TeamError

PROBE = "support.team_programs:Probe"
Make = Callable[..., Team]


def results(make: Make) -> Any:
    """What all members wrote, and whether something of the team is left."""
    before = sorted(os.listdir("/proc/self/fd"))
    with make(values=10) as team:
        team.run("fill", value=1.0)
        values = team.program.values.tolist()
        team.run("report")
        pids = team.program.pids.tolist()
        sums = {
            dtype: team.run("sum", count=count, dtype=dtype)
            for dtype, count in (("float32", 40_000), ("float64", 5))
        }
        named = list(team.pids)
    team.close()
    gc.collect()
    return {
        "values": values,
        "pids": [pids, named],
        "sums": {dtype: [len(total), total[-1]] for dtype, total in sums.items()},
        "left": [before, sorted(os.listdir("/proc/self/fd"))],
        "children": children(),
    }


def children() -> str:
    """The processes that this one has, ended or not."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return file.read()


def failure(operation: str) -> Callable[[Make], Any]:
    """What a member's end or exception leads to."""

    def run(make: Make) -> Any:
        with make() as team:
            last = team.processes - 1
            pid = team.pids[last]
            began = time.monotonic()
            try:
                team.run(operation, rank=last)
            except TeamError as error:
                return {
                    "message": str(error),
                    "named": [error.rank, error.pid == pid, error.signal],
                    "seconds": time.monotonic() - began,
                    "children": children(),
                    "then": closed(team),
                }
        return None

    return run


def closed(team: Team) -> str:
    """What a further call says."""
    try:
        team.run("report")
    except TeamError as error:
        return str(error)
    return "it went on"


def unbuilt(make: Make) -> Any:
    """A program that fails in the other members."""
    try:
        make(fails_to_start=True)
    except TeamError as error:
        return {"message": str(error), "children": children()}
    return None


def blocked(make: Make) -> Any:
    """CPU seconds of all members while all wait for a late one, and while nothing goes on."""
    with make() as team:
        team.run("report")
        before = team.program.cpu_s.copy()
        team.run("late", rank=1, seconds=1.0)
        time.sleep(0.5)
        team.run("report")
        return (team.program.cpu_s - before).tolist()


def crowded(make: Make) -> Any:
    """Seconds for 300 barriers, and the CPU seconds of all members."""
    with make() as team:
        team.run("report")
        before, began = team.program.cpu_s.sum(), time.monotonic()
        team.run("meet", times=300)
        seconds = time.monotonic() - began
        team.run("report")
        return {"seconds": seconds, "cpu_s": float(team.program.cpu_s.sum() - before)}


def in_threads(make: Make) -> Any:
    """A team that one thread makes and others use."""
    made: list[Team] = []
    maker = threading.Thread(target=lambda: made.append(make(values=6)))
    maker.start()
    maker.join()
    with made[0] as team:
        errors: list[Exception] = []

        def use() -> None:
            try:
                for _ in range(50):
                    team.run("sum", count=10, dtype="float32")
            except Exception as error:  # noqa: BLE001 # the test looks at it
                errors.append(error)

        users = [threading.Thread(target=use) for _ in range(3)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        team.run("fill", value=1.0)
        return {"errors": [repr(error) for error in errors], "values": team.program.values.tolist()}


def kernels(make: Make) -> Any:
    """The sets that members of teams compute with, whichever the first member chose."""
    sets = ["numpy"] if machine() is None else ["simd", "numpy"]
    found = []
    for chosen in sets:
        use_kernels(chosen)
        with make() as team:
            found.append([chosen, *team.run("kernels")])
    return found


def held(operation: str) -> Callable[[Make], Any]:
    """Tells the members' processes, then is killed by the test."""

    def run(make: Make) -> Any:
        team = make()
        print(json.dumps(team.pids), flush=True)
        if operation == "idle":
            time.sleep(60)
        # "asleep": the others wait at a barrier; "busy": member 1 works, the rest wait for it.
        team.run("late", rank=int(operation == "busy"), seconds=60.0, busy=operation == "busy")

    return run


def forgotten(make: Make) -> Any:
    """Ends without closing the team."""
    team = make()
    team.run("report")
    return team.pids


SCENARIOS: dict[str, Callable[[Make], Any]] = {
    "results": results,
    "fail": failure("fail"),
    "exit": failure("exit"),
    "kill": failure("kill"),
    "unbuilt": unbuilt,
    "blocked": blocked,
    "crowded": crowded,
    "in_threads": in_threads,
    "kernels": kernels,
    "idle": held("idle"),
    "asleep": held("asleep"),
    "busy": held("busy"),
    "forgotten": forgotten,
}


def main() -> None:
    scenario, start, processes = sys.argv[1:]

    def make(**arguments: Any) -> Team:
        chosen: Any = None if start == "default" else start
        return Team(int(processes), PROBE, arguments, start=chosen)

    print(json.dumps(SCENARIOS[scenario](make)))


if __name__ == "__main__":
    main()
