"""Faults that are built into a process from outside: each folder holds a `sitecustomize`."""

import os
from pathlib import Path


def hooked(name: str) -> dict[str, str]:
    """Environment under which Python loads the hook."""
    paths = [str(Path(__file__).parent / name), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
