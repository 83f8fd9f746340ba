"""Losses: each returns its value and its gradient with respect to the network's output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array, shown
from .errors import CoreError, ShapeError


def softmax(logits: Array) -> Array:
    """e^z / Σ e^z for each row of logits [N, classes]; shifted, so that no e^z overflows."""
    powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def softmax_cross_entropy(
    logits: Array,
    labels: npt.NDArray[np.integer[Any]],  # any integer width will do
) -> tuple[float, Array]:
    """The mean over the batch of -log softmax(logits)[label], and its gradient.

    logits [N, classes]; labels [N], integers in [0, classes). Raises ShapeError or CoreError.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ShapeError(
            "softmax cross-entropy takes logits [N, classes] and labels [N], "
            f"got {shown(logits.shape)} and {shown(labels.shape)}"
        )
    if labels.dtype.kind not in "iu":
        raise CoreError(f"labels must be integers, got {labels.dtype}")
    n, classes = logits.shape
    if labels.min() < 0 or labels.max() >= classes:
        raise CoreError(f"labels must be in [0, {classes}), got {labels.min()} … {labels.max()}")
    rows = np.arange(n)
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    totals = powers.sum(axis=1, keepdims=True)
    loss = float((np.log(totals[:, 0]) - shifted[rows, labels]).mean())
    dlogits = powers / totals
    dlogits[rows, labels] -= 1
    dlogits /= n
    return loss, dlogits


def squared_loss(y: Array, target: Array) -> tuple[float, Array]:
    """Σ (y - target)², and its gradient 2(y - target), in the course's form.

    The sum runs over all values of the batch, without a mean and without a half.
    """
    if y.shape != target.shape:
        raise ShapeError(
            "the squared loss takes two equal shapes, "
            f"got {shown(y.shape)} and {shown(target.shape)}"
        )
    difference = y - target
    return float(np.square(difference).sum()), 2.0 * difference
