"""A loss that teams import."""

import numpy as np
from convnest_core import Array


def squared(logits: Array, targets: Array) -> tuple[float, Array]:
    """The mean over images of the squared distance."""
    difference = logits - targets
    return float(np.square(difference).sum() / len(logits)), 2 * difference / len(logits)
