"""`python -m convnest_core.summary vgg16` prints a network's table.

Shape and classes are those that the network was published with, unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from convnest_core.arrays import Shape
from convnest_core.errors import CoreError
from convnest_core.spec import network, networks

from . import Summary, summarise

_DIGITS, _CIFAR, _IMAGENET = ((28, 28, 1), 10), ((32, 32, 3), 10), ((224, 224, 3), 1000)
_PUBLISHED: dict[str, tuple[Shape, int]] = {
    "lenet": _DIGITS,
    "mlp": _DIGITS,
    "convnet": _CIFAR,
    "alexnet": ((227, 227, 3), 1000),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m convnest_core.summary", description=__doc__)
    parser.add_argument("network", help=f"one of {', '.join(networks())}, or a JSON description")
    parser.add_argument("--shape", type=_shape, help="such as 28x28x1")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, for a named network")
    parser.add_argument("--json", action="store_true", help="as data, with the totals")
    arguments = parser.parse_args()
    try:
        spec = (
            json.loads(arguments.network)
            if arguments.network.lstrip().startswith("{")
            else {"name": arguments.network, "options": arguments.options}
        )
        shape, classes = _published(str(spec.get("name", "")))
        module = network(spec, classes=arguments.classes or classes)
        summary = summarise(module, arguments.shape or shape)
    except (CoreError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(_data(summary), indent=2) if arguments.json else summary.text())
    return 0


def _published(name: str) -> tuple[Shape, int]:
    depth = name.removeprefix("resnet").removeprefix("plain")
    # CIFAR's residual networks have 6n + 2 layers, ImageNet's begin with 18, 34, 50.
    if depth.isdigit() and (name.startswith("plain") or int(depth) not in {18, 34, 50, 101, 152}):
        return _CIFAR
    return _PUBLISHED.get(name, _IMAGENET if name else _DIGITS)


def _data(summary: Summary) -> dict[str, object]:
    return {
        **asdict(summary),
        "parameters": summary.parameters,
        "activation_bytes": summary.activation_bytes,
        "multiply_adds": summary.multiply_adds,
    }


def _shape(text: str) -> Shape:
    return tuple(int(size) for size in text.split("x"))


if __name__ == "__main__":
    sys.exit(main())
