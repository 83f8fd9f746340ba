"""Losses: values by hand, gradients by central differences, labels with care."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    Array,
    CoreError,
    ShapeError,
    log_likelihood,
    softmax,
    softmax_cross_entropy,
    squared_loss,
)


def test_cross_entropy_is_the_mean_of_minus_log_probability() -> None:
    logits = np.log(np.array([[1.0, 2.0, 7.0], [5.0, 4.0, 1.0]]))
    loss, _ = softmax_cross_entropy(logits, np.array([2, 1]))
    assert loss == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2)


def test_loss_gradients_are_those_of_central_differences() -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    labels = np.array([0, 4, 2, 2], np.uint8)
    shares, weights = softmax(target), np.array([0.5, 0.0, 2.0, 1.0, 3.0])
    losses: list[Callable[[Array], tuple[float, Array]]] = [
        lambda z: softmax_cross_entropy(z, labels),
        lambda z: softmax_cross_entropy(z, labels, smoothing=0.1),
        lambda z: softmax_cross_entropy(z, labels, class_weights=weights),
        lambda z: softmax_cross_entropy(z, labels, smoothing=0.3, class_weights=weights),
        lambda z: softmax_cross_entropy(z, shares),
        lambda z: softmax_cross_entropy(z, shares, smoothing=0.2, class_weights=weights),
        lambda z: log_likelihood(1.5 + np.tanh(z), labels),
        lambda z: squared_loss(z, target),
    ]
    for loss in losses:
        numeric = np.zeros_like(logits)
        for place in np.ndindex(logits.shape):
            step = np.zeros_like(logits)
            step[place] = 1e-5
            numeric[place] = (loss(logits + step)[0] - loss(logits - step)[0]) / 2e-5
        gradient = loss(logits)[1]
        if loss is losses[6]:
            gradient = gradient * (1 - np.tanh(logits) ** 2)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-7, atol=1e-9)


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
        (np.array([0, 1, 2]), r"labels \[N\] .*, got 2×3 and 3"),
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


def test_labels_and_their_distributions_are_one_loss() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4))
    labels = np.array([0, 3, 1])
    for smoothing in (0.0, 0.1):
        by_label = softmax_cross_entropy(logits, labels, smoothing=smoothing)
        whole = softmax_cross_entropy(logits, np.eye(4)[labels], smoothing=smoothing)
        assert by_label[0] == pytest.approx(whole[0], rel=1e-12)
        np.testing.assert_allclose(by_label[1], whole[1], rtol=1e-12, atol=1e-15)
    smoothed = np.full((3, 4), 0.1 / 4)
    smoothed[np.arange(3), labels] += 0.9
    expected = softmax_cross_entropy(logits, smoothed)[0]
    assert softmax_cross_entropy(logits, labels, smoothing=0.1)[0] == pytest.approx(expected)


def test_equal_class_weights_change_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4))
    labels = np.array([0, 3, 1])
    plain, gradient = softmax_cross_entropy(logits, labels)
    loss, weighed = softmax_cross_entropy(logits, labels, class_weights=np.full(4, 2.5))
    assert loss == pytest.approx(plain, rel=1e-12)
    np.testing.assert_allclose(weighed, gradient, rtol=1e-12)


def test_the_likelihood_of_a_softmax_is_its_cross_entropy() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4))
    labels = np.array([0, 3, 1])
    expected, dlogits = softmax_cross_entropy(logits, labels)
    p = softmax(logits)
    loss, dp = log_likelihood(p, labels)
    assert loss == pytest.approx(expected)
    np.testing.assert_allclose(p * (dp - (dp * p).sum(axis=1, keepdims=True)), dlogits, atol=1e-12)
    impossible, gradient = log_likelihood(np.array([[0.0, 1.0]], np.float32), np.array([0]))
    assert 80 < impossible < 100
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (np.full((2, 3), 0.4), {}, "sum to 1 in each row, got values from 0.4 and sums of 1.2"),
        (np.array([[2.0, -1, 0], [1, 0, 0]]), {}, "must be ≥ 0 and sum to 1"),
        (np.full((2, 3), np.nan), {}, "must be ≥ 0 and sum to 1"),
        (np.full((2, 3), 1 / 3, np.float32), {}, "must be float64 as the logits, got float32"),
        (np.array([0, 1]), {"class_weights": np.ones(2)}, "one a class, 3, got 2"),
        (np.array([0, 1]), {"class_weights": -np.ones(3)}, "finite and ≥ 0"),
        (np.array([0, 1]), {"class_weights": np.array([0, 0, 1.0])}, "not be zero for all"),
        (np.array([0, 1]), {"smoothing": 1}, "smoothing must be ≥ 0 and < 1, got 1"),
    ],
)
def test_targets_and_weights_that_mean_nothing_are_refused(
    target: Any, options: Any, message: str
) -> None:
    with pytest.raises(CoreError, match=message):
        softmax_cross_entropy(np.zeros((2, 3)), target, **options)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(CoreError, match="does the network end in a softmax layer"):
        log_likelihood(np.array([[-1.0, 2.0]]), np.array([0]))
    with pytest.raises(ShapeError, match=r"probabilities \[N, classes\] and labels \[N\]"):
        log_likelihood(np.ones((1, 2)), np.array([[0]]))
    with pytest.raises(CoreError, match=r"in \[0, 2\)"):
        log_likelihood(np.ones((1, 2)), np.array([2]))
