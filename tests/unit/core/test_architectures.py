"""The named networks: published parameter counts, shapes, and the summary that shows them."""

from typing import Any

import numpy as np
import pytest
from convnest_core import ShapeError, build, network, shapes_only, summarise


@pytest.mark.parametrize(
    ("name", "options", "shape", "parameters"),
    [
        ("lenet", {}, (28, 28, 1), 61_706),
        ("lenet", {"padding": 0}, (32, 32, 1), 61_706),
        ("lenet", {"activation": "tanh", "pooling": "avg"}, (28, 28, 1), 61_706),
        ("lenet", {"padding": 0}, (32, 32, 3), 62_006),
        ("lenet", {"activation": "sigmoid"}, (32, 32, 3), 83_126),
        ("mlp", {"hidden": []}, (28, 28, 1), 7_850),
        ("mlp", {"hidden": [256, 128], "dropout": 0.2}, (28, 28, 1), 235_146),
        ("mlp", {"hidden": [5]}, (7,), 100),
        ("convnet", {"n": 1, "m": 1, "k": 0, "filters": 2}, (4, 4, 1), 20 + 90),
        ("convnet", {}, (28, 28, 1), 320 + 9_248 + 18_496 + 36_928 + 401_536 + 1_290),
        (
            "convnet",
            {"n": 1, "batch_norm": True, "dropout": 0.5},
            (28, 28, 1),
            288 + 64 + 18_432 + 128 + 401_536 + 1_290,
        ),
    ],
)
def test_a_network_has_its_known_number_of_parameters(
    name: str, options: dict[str, Any], shape: tuple[int, ...], parameters: int
) -> None:
    module = network({"name": name, "options": options}, classes=10)
    assert summarise(module, shape).parameters == parameters
    assert build(module, shape, seed=0) == (10,)
    assert sum(one.value.size for one in module.parameters().values()) == parameters
    logits = module(np.zeros((2, *shape), np.float32))
    assert logits.shape == (2, 10)
    assert logits.dtype == np.float32


def test_convnets_names_follow_the_usual_split() -> None:
    module = network({"name": "convnet", "options": {"n": 1, "m": 1}}, classes=3)
    build(module, (8, 8, 1), seed=0)
    assert list(module.parameters()) == [
        "features.0.weight",
        "features.0.bias",
        "classifier.0.weight",
        "classifier.0.bias",
        "classifier.2.weight",
        "classifier.2.bias",
    ]


def test_an_image_too_small_is_refused_by_the_layer_it_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"conv2 \(conv\): kernel 5×5 does not fit into 4×4 input"):
        shapes_only(network({"name": "lenet"}, classes=10), (8, 8, 1))
