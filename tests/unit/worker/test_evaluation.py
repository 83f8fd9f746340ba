"""What an evaluation counts."""

import numpy as np
import pytest
from convnest_core import softmax_cross_entropy
from convnest_worker.evaluation import MOST_COUNTED_CLASSES, Evaluation, evaluate


def evaluation(logits: np.ndarray, labels: list[int]) -> Evaluation:
    told: list[None] = []
    found = evaluate(
        lambda x: x,
        lambda part: logits[part],
        np.array(labels),
        loss=softmax_cross_entropy,
        classes=logits.shape[1],
        after_batch=lambda: told.append(None),
    )
    assert len(told) == -(-len(labels) // 256)
    return found


def test_accuracy_top_five_and_confusion_are_counted() -> None:
    logits = np.zeros((4, 7), np.float32)
    logits[:, 3] = 5
    logits[0, 1] = 9  # right
    logits[1, 2] = 1  # its class 2 is second
    logits[2, [1, 2, 4, 5, 6]] = 2  # its class 0 is last
    found = evaluation(logits, [1, 2, 0, 3])
    assert found.accuracy == 0.5
    assert found.top5 == 0.75
    assert found.confusion[1, 1] == found.confusion[3, 3] == 1
    assert found.confusion[2, 3] == found.confusion[0, 3] == 1
    assert found.confusion.sum() == 4
    expected, _ = softmax_cross_entropy(logits, np.array([1, 2, 0, 3]))
    assert found.loss == pytest.approx(expected)


def test_many_batches_come_to_the_same_as_one() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1000, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 1000)
    found = evaluation(logits, labels.tolist())
    assert found.accuracy == (logits.argmax(axis=1) == labels).mean()
    assert found.top5 == 1
    assert found.loss == pytest.approx(softmax_cross_entropy(logits, labels)[0], rel=1e-5)


def test_a_class_has_its_precision_and_recall() -> None:
    found = Evaluation(0, 0, 0, np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]]))
    first, second, third = found.by_class(["a", "b", "c"])
    assert (first["precision"], first["recall"]) == (0.6, 0.75)
    assert second["answers"] == [2, 2, 0]
    assert (third["images"], third["precision"], third["recall"]) == (0, 0, 0)


def test_very_many_classes_have_no_counts() -> None:
    many = MOST_COUNTED_CLASSES + 1
    found = Evaluation(0, 0, 0, np.eye(many, dtype=np.int64))
    assert all(one["answers"] == [] for one in found.by_class([str(i) for i in range(many)]))
