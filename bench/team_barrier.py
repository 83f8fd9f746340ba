"""What a barrier of a team costs, and a call of an operation: median microseconds.

    python bench/team_barrier.py [--processes 2] [--json]

The same is measured with sleeping members (as in a team with more members than cores) and with the
lines of CPUs whose memory ordering does not allow flags. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from unittest import mock

from convnest_core.team import Member, Team


class Meetings:
    """A program that only meets."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def nothing(self) -> None:
        """The cheapest operation."""

    def meet(self, times: int) -> list[int]:
        """Nanoseconds of each of `times` barriers, here."""
        spent = []
        for _ in range(times):
            began = time.perf_counter_ns()
            self._member.barrier()
            spent.append(time.perf_counter_ns() - began)
        return spent


def measured(processes: int, *, spin: bool) -> dict[str, float]:
    """Median microseconds of a barrier and of a call."""
    with Team(processes, f"{__name__}:Meetings", {}, spin=spin) as team:
        team.run("meet", times=100)
        barriers = team.run("meet", times=5000)
        calls = []
        for _ in range(2000):
            began = time.perf_counter_ns()
            team.run("nothing")
            calls.append(time.perf_counter_ns() - began)
    return {
        "barrier_us": statistics.median(barriers) / 1e3,
        "barrier_p90_us": statistics.quantiles(barriers, n=10)[-1] / 1e3,
        "call_us": statistics.median(calls) / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a barrier of a team costs.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = {
        "spinning": measured(options.processes, spin=True),
        "sleeping": measured(options.processes, spin=False),
    }
    with mock.patch("platform.machine", return_value="any"):
        found["tokens"] = measured(options.processes, spin=False)
    if options.json:
        print(json.dumps({"processes": options.processes, **found}))
        return
    for name, numbers in found.items():
        print(f"{name:9}", "  ".join(f"{what} {us:7.2f}" for what, us in numbers.items()))


if __name__ == "__main__":
    # Members import this module by its name.
    from team_barrier import main as named_main

    named_main()
