"""The few array types that every module of the package speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Any: float32 and float64 share one code path, and NumPy's own stubs write it so.
Array: TypeAlias = npt.NDArray[np.floating[Any]]
DType: TypeAlias = np.dtype[np.floating[Any]]
Integers: TypeAlias = npt.NDArray[np.int64]

# Without the batch: (H, W, C) for images, (features,) for vectors.
Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]

# Maps dL/dy to dL/dx and adds dL/dw to the gradients of the parameters that took part.
Backward: TypeAlias = Callable[[Array], Array]
# The same for a function of two arrays.
BackwardOfTwo: TypeAlias = Callable[[Array], tuple[Array, Array]]


def unread(x: Array) -> Array:
    """Stands for an input gradient that nobody reads: x's shape, zero, and no memory."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def shown(shape: Shape) -> str:
    """`28×28×1`, as messages and tables write a shape."""
    return "×".join(str(size) for size in shape)
