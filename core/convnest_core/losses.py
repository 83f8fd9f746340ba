"""Losses: each returns its value and its gradient with respect to the network's output."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array, shown
from .checks import number
from .errors import CoreError, ShapeError

_WHOLE_TOLERANCE = 1e-3  # how far a distribution's sum may be from 1


def softmax(logits: Array) -> Array:
    """e^z / Σ e^z for each row of logits [N, classes]; shifted, so that no e^z overflows."""
    powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def softmax_cross_entropy(
    logits: Array,
    target: npt.NDArray[Any],  # any integer width, or floats
    *,
    smoothing: float = 0.0,
    class_weights: Array | None = None,
) -> tuple[float, Array]:
    """The mean over the batch of -Σ target · log softmax(logits), and its gradient.

    logits [N, classes]; target: labels [N], integers in [0, classes), or distributions
    [N, classes], whose rows sum to 1. `smoothing` moves that share of each target evenly to all
    classes (Szegedy et al. 2016). `class_weights` [classes] weigh the terms; with labels the mean
    is then over the weights of the batch's labels, as in PyTorch. Raises ShapeError or CoreError.
    """
    smoothing = number("smoothing", smoothing, least=0, below=1)
    if logits.ndim != 2 or target.shape not in (logits.shape[:1], logits.shape) or not len(logits):
        raise ShapeError(
            "softmax cross-entropy takes logits [N, classes] and labels [N] or distributions "
            f"[N, classes], got {shown(logits.shape)} and {shown(target.shape)}"
        )
    n, classes = logits.shape
    weights = _checked_weights(class_weights, logits)
    if target.ndim == 1:
        _check_labels(target, classes)
        count = float(n if weights is None else weights[target].sum())
        if not count:
            raise CoreError("class_weights must not be zero for all of the batch's labels")
    else:
        _check_distributions(target, logits)
        count = float(n)
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    totals = powers.sum(axis=1, keepdims=True)
    if target.ndim == 1 and weights is None and not smoothing:
        rows = np.arange(n)
        loss = float((np.log(totals[:, 0]) - shifted[rows, target]).mean())
        dlogits = powers / totals
        dlogits[rows, target] -= 1
        dlogits /= n
        return loss, dlogits
    wanted = np.eye(classes, dtype=logits.dtype)[target] if target.ndim == 1 else target
    if smoothing:
        wanted = wanted * (1.0 - smoothing) + smoothing / classes
    if weights is not None:
        wanted = wanted * weights
    loss = float((wanted * (np.log(totals) - shifted)).sum()) / count
    dlogits = powers / totals * wanted.sum(axis=1, keepdims=True)
    dlogits -= wanted
    dlogits /= count
    return loss, dlogits


def log_likelihood(
    probabilities: Array,
    labels: npt.NDArray[np.integer[Any]],  # any integer width will do
) -> tuple[float, Array]:
    """The mean over the batch of -log probabilities[label], and its gradient: the course's form.

    For networks that end in a softmax layer. probabilities [N, classes]; one of zero counts as the
    smallest normal number, so that no loss is infinite. Raises ShapeError or CoreError.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ShapeError(
            "the log-likelihood takes probabilities [N, classes] and labels [N], "
            f"got {shown(probabilities.shape)} and {shown(labels.shape)}"
        )
    n, classes = probabilities.shape
    _check_labels(labels, classes)
    rows = np.arange(n)
    chosen = probabilities[rows, labels]
    if not (chosen >= 0).all():
        raise CoreError("probabilities must be ≥ 0; does the network end in a softmax layer?")
    chosen = np.maximum(chosen, np.finfo(probabilities.dtype).tiny)
    gradient = np.zeros_like(probabilities)
    gradient[rows, labels] = -1.0 / (n * chosen)
    return float(-np.log(chosen).mean()), gradient


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


def _check_labels(labels: npt.NDArray[Any], classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise CoreError(f"labels must be integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        raise CoreError(f"labels must be in [0, {classes}), got {labels.min()} … {labels.max()}")


def _check_distributions(target: npt.NDArray[Any], logits: Array) -> None:
    if target.dtype != logits.dtype:
        raise CoreError(f"distributions must be {logits.dtype} as the logits, got {target.dtype}")
    sums = target.sum(axis=1)
    if not (target >= 0).all() or not (np.abs(sums - 1) <= _WHOLE_TOLERANCE).all():
        raise CoreError(
            "distributions must be ≥ 0 and sum to 1 in each row, "
            f"got values from {target.min():g} and sums of {sums.min():g} … {sums.max():g}"
        )


def _checked_weights(class_weights: Array | None, logits: Array) -> Array | None:
    if class_weights is None:
        return None
    weights: Array = np.asarray(class_weights, logits.dtype)
    if weights.shape != logits.shape[1:]:
        raise ShapeError(
            f"class_weights must be one a class, {logits.shape[1]}, got {shown(weights.shape)}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise CoreError("class_weights must be finite and ≥ 0")
    return weights
