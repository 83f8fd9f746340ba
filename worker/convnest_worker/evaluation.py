"""How well a network does on a set of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convnest_worker.criterion import Criterion

_BATCH = 256
_TOP = 5
MOST_COUNTED_CLASSES = 256  # beyond it a confusion matrix outgrows the record that holds it

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """The mean loss, shares of right answers, and who was taken for whom."""

    loss: float
    accuracy: float
    top5: float
    """Share of the images whose class is among the five likeliest."""
    confusion: npt.NDArray[np.int64]
    """[classes, classes]: rows are the images' classes, columns the answers."""

    def by_class(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """Each class's name, images, precision, recall and, for not too many classes, counts.

        A precision without answers, and a recall without images, count as 0.
        """
        images, answers = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        right = self.confusion.diagonal()
        counted = len(classes) <= MOST_COUNTED_CLASSES
        return [
            {
                "name": name,
                "images": int(images[i]),
                "precision": float(right[i] / max(answers[i], 1)),
                "recall": float(right[i] / max(images[i], 1)),
                "answers": self.confusion[i].tolist() if counted else [],
            }
            for i, name in enumerate(classes)
        ]


def evaluate(
    classify: Callable[[Images], Images],
    images: Callable[[slice], Images],
    labels: npt.NDArray[np.int64],
    *,
    loss: Criterion,
    classes: int,
    after_batch: Callable[[], None],
) -> Evaluation:
    """The logits of `classify` against labels; `images` gives its input for a part of them."""
    loss_sum, among = 0.0, 0
    confusion = np.zeros((classes, classes), np.int64)
    for start in range(0, len(labels), _BATCH):
        part = slice(start, start + _BATCH)
        logits, truth = classify(images(part)), labels[part]
        value, _ = loss(logits, truth)
        loss_sum += value * len(logits)
        np.add.at(confusion, (truth, logits.argmax(axis=1)), 1)
        own = logits[np.arange(len(truth)), truth]
        among += int(np.count_nonzero((logits > own[:, None]).sum(axis=1) < _TOP))
        after_batch()
    count = len(labels)
    right = int(confusion.diagonal().sum())
    return Evaluation(loss_sum / count, right / count, among / count, confusion)
