"""`python -m convnest_core.summary lenet --shape 28x28x1 --classes 10` prints a network's table."""

from __future__ import annotations

import argparse
import json
import sys

from convnest_core.arrays import Shape
from convnest_core.errors import CoreError
from convnest_core.spec import network, networks

from . import summarise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m convnest_core.summary", description=__doc__)
    parser.add_argument("network", help=f"one of {', '.join(networks())}, or a JSON description")
    parser.add_argument("--shape", type=_shape, default=(28, 28, 1), help="such as 28x28x1")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, for a named network")
    arguments = parser.parse_args()
    try:
        spec = (
            json.loads(arguments.network)
            if arguments.network.lstrip().startswith("{")
            else {"name": arguments.network, "options": arguments.options}
        )
        module = network(spec, classes=arguments.classes)
        print(summarise(module, arguments.shape).text())
    except (CoreError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _shape(text: str) -> Shape:
    return tuple(int(size) for size in text.split("x"))


if __name__ == "__main__":
    sys.exit(main())
