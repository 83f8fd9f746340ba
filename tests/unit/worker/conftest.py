"""A small dataset, and a spec whose training uses all that a checkpoint must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convnest_core import normalise
from convnest_store.datasets import Dataset

SIDES = (8, 7, 1)


@pytest.fixture(scope="session")
def data() -> Dataset:
    """46 noisy images of three classes, and some held out."""
    rng = np.random.default_rng(5)

    def part(count: int) -> tuple[Any, Any]:
        labels = np.arange(count) % 3
        images = rng.integers(0, 160, (count, *SIDES)) + 40 * labels[:, None, None, None]
        return images.astype(np.uint8), labels

    images, labels = part(46)
    test_images, test_labels = part(9)
    return Dataset(images, labels, ("a", "b", "c"), test_images, test_labels)


@pytest.fixture(scope="session")
def spec() -> dict[str, Any]:
    """With dropout (random keys), batch norm (buffers), momentum, and a last batch cut short."""
    layers = [
        {"conv": {"filters": 3, "kernel": 3}},
        "batch_norm",
        "relu",
        {"max_pool": {"size": 2}},
        "flatten",
        {"linear": {"features": 8}},
        {"dropout": {"rate": 0.4}},
        {"linear": {"features": 3}},
    ]
    return {
        "dataset": "shades",
        "dataset_digest": "sha256:d",
        "model": "m",
        "network": normalise({"layers": layers}, classes=3),
        "epochs": 3,
        "batch_size": 8,
        "optimizer": {
            "name": "sgd",
            "learning_rate": 0.05,
            "momentum": 0.9,
            "weight_decay": 1e-3,
        },
        "loss": "cross_entropy",
        "validation_fraction": 0.2,
        "seed": 11,
        "checkpoint_interval_s": 3600.0,
    }
