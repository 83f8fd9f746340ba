"""Losses: values by hand, gradients by central differences, labels with care."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import Array, CoreError, ShapeError, softmax, softmax_cross_entropy, squared_loss


def test_cross_entropy_is_the_mean_of_minus_log_probability() -> None:
    logits = np.log(np.array([[1.0, 2.0, 7.0], [5.0, 4.0, 1.0]]))
    loss, _ = softmax_cross_entropy(logits, np.array([2, 1]))
    assert loss == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2)


def test_loss_gradients_are_those_of_central_differences() -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    labels = np.array([0, 4, 2, 2], np.uint8)
    losses: list[Callable[[Array], tuple[float, Array]]] = [
        lambda z: softmax_cross_entropy(z, labels),
        lambda z: squared_loss(z, target),
    ]
    for loss in losses:
        numeric = np.zeros_like(logits)
        for place in np.ndindex(logits.shape):
            step = np.zeros_like(logits)
            step[place] = 1e-5
            numeric[place] = (loss(logits + step)[0] - loss(logits - step)[0]) / 2e-5
        np.testing.assert_allclose(loss(logits)[1], numeric, rtol=1e-7, atol=1e-9)


def test_the_squared_loss_is_a_plain_sum() -> None:
    loss, gradient = squared_loss(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2)))
    assert loss == 30
    np.testing.assert_array_equal(gradient, [[2, 4], [6, 8]])


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    np.testing.assert_array_equal(softmax(logits), np.eye(2))
    loss, gradient = softmax_cross_entropy(logits, np.array([0, 0]))
    assert loss == 1e4
    assert gradient.dtype == np.float32
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 3]), r"in \[0, 3\), got 0 … 3"),
        (np.array([-1, 0]), r"in \[0, 3\), got -1 … 0"),
        (np.array([0.0, 1.0]), "must be integers, got float64"),
        (np.array([True, False]), "must be integers, got bool"),
        (np.array([0, 1, 2]), r"labels \[N\], got 2×3 and 3"),
        (np.array([[0], [1]]), r"labels \[N\]"),
    ],
)
def test_labels_that_name_no_class_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(CoreError, match=message):
        softmax_cross_entropy(np.zeros((2, 3)), labels)


def test_an_empty_batch_and_unlike_shapes_have_no_loss() -> None:
    with pytest.raises(ShapeError):
        softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, np.int64))
    with pytest.raises(ShapeError, match="two equal shapes, got 2×3 and 3"):
        squared_loss(np.zeros((2, 3)), np.zeros(3))
