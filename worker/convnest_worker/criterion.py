"""The loss that a training spec asks for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from convnest_core import softmax_cross_entropy, squared_loss

Logits: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[Any]  # classes [N], or distributions over them [N, classes]
#: A batch's mean loss, and its gradient with respect to the logits.
Criterion: TypeAlias = Callable[[Logits, Labels], tuple[float, Logits]]


def training_criterion(spec: Mapping[str, Any], classes: Sequence[str]) -> Criterion:
    """spec["loss"] with its label smoothing and class weights."""
    if spec["loss"] == "squared":
        return _squared
    smoothing = spec.get("label_smoothing", 0.0)
    named = spec.get("class_weights") or {}
    weights = np.array([named.get(name, 1.0) for name in classes], np.float32) if named else None

    def cross_entropy(logits: Logits, labels: Labels) -> tuple[float, Logits]:
        if weights is not None and labels.ndim == 1 and not weights[labels].any():
            return 0.0, np.zeros_like(logits)  # nothing in this batch counts
        loss, dlogits = softmax_cross_entropy(
            logits, labels, smoothing=smoothing, class_weights=weights
        )
        return loss, dlogits.astype(np.float32, copy=False)

    return cross_entropy


def evaluation_criterion(spec: Mapping[str, Any]) -> Criterion:
    """spec["loss"] as it is: what an evaluation tells does not depend on how one trained."""
    return _squared if spec["loss"] == "squared" else softmax_cross_entropy


def _squared(logits: Logits, labels: Labels) -> tuple[float, Logits]:
    """The course's sum of squares against one-hot targets, per image: steps then suit any batch."""
    target = labels
    if labels.ndim == 1:
        target = np.zeros_like(logits)
        target[np.arange(len(labels)), labels] = 1
    loss, gradient = squared_loss(logits, target)
    return loss / len(labels), gradient / np.float32(len(labels))
