"""Matrices as the product's kernel reads them: a block of columns after the other."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array
from convnest_core.kernels.aligned import empty_aligned

from .machine import machine

_found = machine()
#: Columns of a block.
BLOCK = _found.block if _found else 1
#: Rows of a register tile, and its vectors in a row.
PIXELS, VECTORS = (_found.pixels, _found.vectors) if _found else (1, 1)


def blocks_of(filters: int) -> int:
    """How many blocks so many columns fill."""
    return -(-filters // BLOCK)


def packed(w: Array) -> Array:
    """w [depth, filters] as [blocks, depth, BLOCK], zero beyond the filters."""
    depth, filters = w.shape
    blocks = empty_aligned((blocks_of(filters), depth, BLOCK), w.dtype)
    for number, block in enumerate(blocks):
        columns = w[:, number * BLOCK : (number + 1) * BLOCK]
        block[:, : columns.shape[1]] = columns
        block[:, columns.shape[1] :] = 0
    return blocks


def padded(b: Array) -> Array:
    """b [filters] as [blocks · BLOCK], zero beyond the filters."""
    whole = np.zeros(blocks_of(len(b)) * BLOCK, b.dtype)
    whole[: len(b)] = b
    return whole
