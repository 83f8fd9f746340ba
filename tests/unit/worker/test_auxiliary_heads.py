"""A network with auxiliary heads trains like any other; the trainer only names the loss."""

from collections.abc import Callable
from typing import Any

import numpy as np
from convnest_core import build, network
from convnest_store.datasets import Dataset
from convnest_worker.training import TrainingState, train


class _Alone:
    """A control that wants nothing."""

    def emit(self, kind: str, data: dict[str, Any]) -> None: ...

    def between_batches(self, state: Callable[[], TrainingState]) -> None: ...


def test_the_heads_of_googlenet_learn_in_a_job() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 16, 16, 1), np.uint8)
    labels = np.array([0, 1, 0, 1, 0, 1])
    data = Dataset(images, labels, ("a", "b"), images[:0], labels[:0])
    spec: dict[str, Any] = {
        "network": {"name": "googlenet", "options": {"variant": "torchvision"}},
        "seed": 0,
        "validation_fraction": 0.3,
        "batch_size": 4,
        "epochs": 1,
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0},
        "loss": "cross_entropy",
    }
    trained = train(spec, data, state=None, control=_Alone())
    fresh = network(spec["network"], classes=2)
    build(fresh, (16, 16, 1), seed=0)
    before = fresh.state()
    for name in ("aux1.fc2.weight", "aux2.conv.conv.weight", "fc.weight", "conv1.conv.weight"):
        assert not np.array_equal(trained.model[name], before[name]), name
    assert np.isfinite(trained.history[0]["train_loss"])
    fresh.load_state(trained.model)  # as serving does
