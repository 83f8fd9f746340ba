"""`python -m convnest_core.kernels list|compile|check`: the generated kernels on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from convnest_core.errors import CoreError

from . import kernel_set
from .simd import inventory, object_cache
from .simd.machine import machine


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m convnest_core.kernels", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in (
        ("list", "every kernel, and whether the cache holds it"),
        ("compile", "compile those that the cache does not hold"),
        ("check", "load every kernel from the cache; exit 1 where one is missing"),
    ):
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("--json", action="store_true", help="a JSON object a line")
    given = parser.parse_args()
    try:
        found = machine()
        if kernel_set() == "numpy" or found is None:
            _say(given.json, "NumPy's kernels compute here; nothing is compiled", set="numpy")
            return 0
        return {"list": _list, "compile": _compile, "check": _check}[given.command](given.json)
    except CoreError as error:
        print(f"convnest_core.kernels: {error}", file=sys.stderr)
        return 1


def _list(as_json: bool) -> int:
    for kernel in inventory.all_kernels():
        cached = kernel.is_cached
        _say(
            as_json,
            f"{kernel.title:<32} {'ready' if cached else 'not compiled'}",
            kernel=kernel.title,
            cached=cached,
        )
    return 0


def _compile(as_json: bool) -> int:
    def told(progress: inventory.Progress) -> None:
        text = f"{progress.done}/{progress.total} {progress.kernel} {progress.seconds:.1f} s"
        _say(as_json, text, **asdict(progress))

    begun = time.perf_counter()
    inventory.compile_missing(told)
    seconds = time.perf_counter() - begun
    total = len(inventory.all_kernels())
    text = f"{total} kernels ready in {object_cache.folder()} ({seconds:.1f} s)"
    _say(as_json, text, ready=total, seconds=seconds)
    return 0


def _check(as_json: bool) -> int:
    kernels = inventory.all_kernels()
    if missing := [kernel.title for kernel in inventory.missing_kernels()]:
        raise CoreError(f"{len(missing)} of {len(kernels)} are not compiled: {', '.join(missing)}")
    begun = time.perf_counter()
    for kernel in kernels:
        kernel.load()
    seconds = time.perf_counter() - begun
    _say(
        as_json,
        f"{len(kernels)} kernels load in {seconds:.2f} s",
        ready=len(kernels),
        seconds=seconds,
    )
    return 0


def _say(as_json: bool, text: str, **fields: object) -> None:
    print(json.dumps(fields) if as_json else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
