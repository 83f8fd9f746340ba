"""What training images come to before the network sees them."""

from typing import Any

import numpy as np
from convnest_store.datasets import Dataset
from convnest_worker.inputs import TrainingInputs, _colours
from convnest_worker.preprocess import Normalisation, measure

Spec = dict[str, Any]


def test_colours_are_those_of_the_training_images(data: Dataset) -> None:
    rows = np.arange(len(data.labels))
    found = _colours(data, measure(data.images, data.shape), rows)
    pixels = data.images.reshape(-1, data.shape.channels) / 255
    expected = np.atleast_2d(np.cov(pixels.T, bias=True))
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.axes @ found.axes.T, expected, rtol=1e-3, atol=1e-6)


def test_without_augmentation_images_are_only_normalised(data: Dataset, spec: Spec) -> None:
    rows = np.arange(len(data.labels))
    prepare = measure(data.images, data.shape)
    x, labels = TrainingInputs(data, spec, prepare, rows=rows).batch(rows[:3], epoch=0)
    np.testing.assert_array_equal(x, Normalisation.of(prepare).pixels(data.images[:3]))
    np.testing.assert_array_equal(labels, data.labels[:3])
