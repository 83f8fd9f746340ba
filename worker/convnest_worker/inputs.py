"""What a network is trained on: images as they are stored, varied and normalised."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from convnest_core.augmentation import Colours, augmented, mixed
from convnest_store.datasets import Dataset
from convnest_store.registry import Preprocessing

from convnest_worker.preprocess import Normalisation

_LOOKED_AT = 2048  # images whose colours are measured
_TO_UNIT = np.float32(1 / 255)


class TrainingInputs:
    """Batches of a dataset after a spec's augmentation."""

    def __init__(
        self,
        data: Dataset,
        spec: Mapping[str, Any],
        prepare: Preprocessing,
        *,
        rows: npt.NDArray[np.int64],
    ) -> None:
        self._data, self._seed = data, int(spec["seed"])
        self._steps = spec.get("augment", [])
        self._normalisation = Normalisation.of(prepare)
        self._colours = _colours(data, prepare, rows) if self._steps else None

    def batch(
        self, rows: npt.NDArray[np.int64], *, epoch: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """The network's input [N, H, W, C], and labels [N] or, after mixup, distributions."""
        labels = self._data.labels[rows]
        if self._colours is None:
            return self._normalisation.pixels(self._data.images[rows]), labels
        which: dict[str, Any] = {"seed": self._seed, "epoch": epoch, "samples": rows}
        x = self._data.images[rows] * _TO_UNIT
        x = augmented(x, self._steps, colours=self._colours, **which)
        pair = mixed(x, labels, self._steps, classes=len(self._data.classes), **which)
        x, targets = pair or (x, labels)
        return self._normalisation.unit(x.astype(np.float32, copy=False)), targets


def _colours(data: Dataset, prepare: Preprocessing, rows: npt.NDArray[np.int64]) -> Colours:
    """Of images evenly over the training images, so that no class is left out."""
    channels = data.shape.channels
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), _LOOKED_AT)).astype(np.int64)]
    mean = np.asarray(prepare.mean)
    covariance, count = np.zeros((channels, channels)), 0
    for row in chosen:  # one at a time: images may be large
        pixels = data.images[row].reshape(-1, channels) * _TO_UNIT - mean
        covariance += pixels.T @ pixels
        count += len(pixels)
    return Colours.of(mean, covariance / count)
