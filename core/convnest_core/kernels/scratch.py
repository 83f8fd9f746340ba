"""Memory that a kernel uses within one call and then forgets: kept by thread, reused by name."""

from __future__ import annotations

import threading
from math import prod

from convnest_core.arrays import Array, DType, Shape

from .aligned import empty_aligned


class _Held(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[tuple[str, DType], Array] = {}


_held = _Held()


def scratch(name: str, shape: Shape, dtype: DType) -> Array:
    """An uninitialised array without gaps, valid until this thread asks for `name` again."""
    size = prod(shape)
    buffer = _held.buffers.get((name, dtype))
    if buffer is None or buffer.size < size:
        buffer = _held.buffers[name, dtype] = empty_aligned((size,), dtype)
    return buffer[:size].reshape(shape)
