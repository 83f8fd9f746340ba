"""What follows a product while its tile is still in the cache: bias, residual, ReLU."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from convnest_core.arrays import Array, DType, Shape

Activation = Literal["relu"]

_LONG_ROW = 4096  # values in one inner loop of NumPy's, so that starting it costs nothing


class _Zeros(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[DType, Array] = {}


_zeros = _Zeros()


def zeros(shape: Shape, dtype: DType) -> Array:
    """Zeros to read, not to write: `maximum` against them is five times quicker than against 0."""
    size = prod(shape)
    held = _zeros.buffers.get(dtype)
    if held is None or held.size < size:
        held = _zeros.buffers[dtype] = np.zeros(size, dtype)
        held.flags.writeable = False
    return held[:size].reshape(shape)


@dataclass(frozen=True, eq=False)
class Finish:
    """out = activation(y + bias + residual), in passes over one tile."""

    bias: Array | None  # several rows of the same bias, [rows, C]
    activation: Activation | None

    @staticmethod
    def of(bias: Array | None, activation: Activation | None) -> Finish:
        """`bias` is [C]."""
        if bias is None:
            return Finish(None, activation)
        return Finish(np.tile(bias, (max(1, _LONG_ROW // len(bias)), 1)), activation)

    def only(self, filters: slice) -> Finish:
        """What follows the product of some filters."""
        return self if self.bias is None else replace(self, bias=self.bias[:1, filters])

    def add_bias(self, y: Array) -> None:
        """Add the bias to every row of y [pixels, C], which has no gaps in memory."""
        if self.bias is None:
            return
        together = len(self.bias)
        whole = len(y) - len(y) % together
        blocks = y[:whole].reshape(-1, self.bias.size)
        np.add(blocks, self.bias.reshape(-1), out=blocks)
        np.add(y[whole:], self.bias[: len(y) - whole], out=y[whole:])

    def write(self, y: Array, out: Array, residual: Array | None) -> None:
        """Put activation(y + residual) into `out`; y is scratch and may be overwritten."""
        rectified = self.activation == "relu"
        if residual is not None:
            np.add(y, residual, out=y if rectified else out)
        if rectified:
            np.maximum(y, zeros(y.shape, y.dtype), out=out)
        elif residual is None:
            np.copyto(out, y)
