"""Inference and training against PyTorch and ONNX Runtime, in turns on the same two cores.

    bench/setup && bench/.venv/bin/python bench/core [--only resnet18 --batches 8] [--json FILE]
        [--kernels numpy] [--avx2]

Every library runs in a process of its own that is stopped while another has its turn. A ratio is
the median over the rounds of (their time ÷ our time) in the same round. Before a turn it waits a
little for other programs to be quiet; "others" is the share of the cores that they took at the
turns' beginnings, and where it is not small the row tells of them, too. Exit status 1: a bound of
cases.py is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from cases import CASES, MOST_COMPILE_S, Case
from processes import Side, SideFailed, compile_seconds, conditions
from quiet import wait_for_quiet
from report import ALONE, OURS, PEERS, Result, text

_PAIRS = 7


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="bench/core", description=__doc__)
    parser.add_argument("--only", nargs="+", help="networks")
    parser.add_argument("--kind", choices=["inference", "training"])
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--pairs", type=int, default=_PAIRS, help="rounds of turns")
    parser.add_argument("--processes", type=int, default=2, help="ours, and the peers' threads")
    parser.add_argument("--kernels", choices=["simd", "numpy"], default="simd", help="ours")
    parser.add_argument("--avx2", action="store_true", help="nobody uses more than AVX2")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    arguments = parser.parse_args()
    if arguments.avx2 and arguments.kernels == "numpy":
        parser.error("--avx2 is about the generated kernels")
    cases = [
        case
        for case in CASES
        if (arguments.only is None or case.network in arguments.only)
        and (arguments.kind in (None, case.kind))
        and (arguments.batches is None or case.batch in arguments.batches)
    ]
    if not cases:
        parser.error("no case is left")
    results: list[Result] = []
    told: dict[str, object] = {}
    for case in cases:
        try:
            results.append(_measure(case, arguments, told))
        except SideFailed as failure:
            print(f"error: {case.name}: {failure}", file=sys.stderr)
            return 1
        print(text(results[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(
        f"{told.get('kernels')} kernels, BLAS core type {told.get('core')}; "
        f"{arguments.processes} processes or threads each"
    )
    print(text(results))
    missed = [line for result in results for line in result.missed()]
    for case in {case.network: case for case in cases if case.network in MOST_COMPILE_S}.values():
        seconds = compile_seconds(case, conditions(arguments.kernels, avx2=arguments.avx2))
        most = MOST_COMPILE_S[case.network]
        print(f"{case.network} compiles in {seconds:.2f} s")
        if seconds > most:
            missed.append(f"{case.network} compiles in {seconds:.2f} s, bound {most} s")
    print("\n".join(f"missed: {line}" for line in missed) or "all bounds of these cases hold")
    if arguments.json:
        data = {"ours": told, "cases": [result.data() for result in results], "missed": missed}
        arguments.json.write_text(json.dumps(data, indent=1))
    return 1 if missed else 0


def _measure(case: Case, arguments: argparse.Namespace, told: dict[str, object]) -> Result:
    processes = str(arguments.processes)
    plans: list[tuple[str, str, *tuple[str, ...]]] = [(OURS, "ours.py", processes)]
    if not arguments.no_peers:
        plans.append((PEERS[0], "torch_side.py", "contiguous", processes))
        if case.shape[2] > 1 and case.network != "mlp":
            plans.append((PEERS[1], "torch_side.py", "channels_last", processes))
        if case.kind == "inference":
            # Its own choice of threads is the number of cores.
            plans.append((PEERS[2], "onnx_side.py", "0" if processes == "2" else processes))
    if case.team_bound is not None and arguments.processes > 1:
        plans.append((ALONE, "ours.py", "1"))
    bounds = case.avx2 if arguments.avx2 else case.bounds[arguments.kernels]
    environment = conditions(arguments.kernels, avx2=arguments.avx2)
    sides: list[Side] = []
    try:
        for name, script, *options in plans:
            sides.append(Side(name, script, *options, case=case, environment=environment))
        told.update(sides[0].told)
        seconds: dict[str, list[float]] = {side.name: [] for side in sides}
        others: list[float] = []
        for _ in range(arguments.pairs):
            for side in sides:
                others.append(wait_for_quiet())
                seconds[side.name].append(side.turn())
        peaks = {side.name: side.close() for side in sides}
        return Result(case, bounds, seconds, peaks, statistics.mean(others))
    finally:
        for side in sides:
            side.kill()


if __name__ == "__main__":
    sys.exit(main())
