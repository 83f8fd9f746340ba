"""Lets this process compile and call the kernels of `support/kernels`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from convnest_core.kernels.simd import native, sources
from convnest_core.kernels.simd.native import Native

_FOLDER = str(Path(__file__).parent / "kernels")


@contextmanager
def tiny_kernels() -> Iterator[None]:
    """Within it, `Native("tiny", name)` is a kernel; what is loaded is forgotten at its end."""
    sources.__path__.append(_FOLDER)
    try:
        yield
    finally:
        sources.__path__.remove(_FOLDER)
        for title in [title for title in native.named if title.startswith("tiny.")]:
            del native.named[title]
        forget_loaded()


def forget_loaded() -> None:
    """The next kernel made is loaded anew."""
    native._load.cache_clear()


def main() -> None:
    """`python -m support.tiny_kernels NAME…`: y of each for x = 0 … 4, then who was imported."""
    x = np.arange(5, dtype=np.float32)
    with tiny_kernels():
        for name in sys.argv[1:]:
            y = np.zeros(5, np.float32)
            Native("tiny", name)(x, y, 5, 2.5)
            print(name, *(float(value) for value in y))
    print("numba" if "numba" in sys.modules else "no numba")


if __name__ == "__main__":
    main()
