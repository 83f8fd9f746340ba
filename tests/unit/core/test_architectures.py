"""The named networks: published parameter counts, shapes, and the summary that shows them."""

from typing import Any

import numpy as np
import pytest
from convnest_core import (
    Array,
    Conv2d,
    Linear,
    Normal,
    Run,
    ShapeError,
    SpecError,
    build,
    network,
    shapes_only,
    softmax_cross_entropy,
    summarise,
)
from convnest_core.building import steps


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


IMAGE = (224, 224, 3)

PUBLISHED: dict[str, tuple[str, dict[str, Any], tuple[int, ...], int]] = {
    "alexnet of the course": ("alexnet", {}, (227, 227, 3), 62_378_344),
    "alexnet in groups": ("alexnet", {"groups": 2}, (227, 227, 3), 60_965_224),
    "alexnet of torchvision": ("alexnet", {"variant": "torchvision"}, IMAGE, 61_100_840),
    "zfnet": ("zfnet", {}, IMAGE, 62_357_608),
    "zfnet, wide": ("zfnet", {"wide": True}, IMAGE, 107_627_624),
    "vgg11": ("vgg11", {}, IMAGE, 132_863_336),
    "vgg13": ("vgg13", {}, IMAGE, 133_047_848),
    "vgg16": ("vgg16", {}, IMAGE, 138_357_544),
    "vgg16 normalised": ("vgg16", {"batch_norm": True}, IMAGE, 138_365_992),
    "vgg19": ("vgg19", {}, IMAGE, 143_667_240),
    "vgg19 normalised": ("vgg19", {"batch_norm": True}, IMAGE, 143_678_248),
    "googlenet": ("googlenet", {"auxiliary": False}, IMAGE, 6_998_552),
    "googlenet with heads": ("googlenet", {}, IMAGE, 13_378_280),
    "googlenet of torchvision": (
        "googlenet",
        {"variant": "torchvision", "auxiliary": False},
        IMAGE,
        6_624_904,
    ),
    "googlenet of torchvision with heads": (
        "googlenet",
        {"variant": "torchvision"},
        IMAGE,
        13_004_888,
    ),
    "resnet18": ("resnet18", {}, IMAGE, 11_689_512),
    "resnet34": ("resnet34", {}, IMAGE, 21_797_672),
    "resnet50": ("resnet50", {}, IMAGE, 25_557_032),
    "resnet50 of the paper": ("resnet50", {"stride_in": "1x1"}, IMAGE, 25_557_032),
    "resnet101": ("resnet101", {}, IMAGE, 44_549_160),
    "resnet152": ("resnet152", {}, IMAGE, 60_192_808),
}
for _depth, _count in {
    20: 269_722,
    32: 464_154,
    44: 658_586,
    56: 853_018,
    110: 1_727_962,
    1202: 19_421_274,
}.items():
    PUBLISHED[f"resnet{_depth}"] = (f"resnet{_depth}", {}, (32, 32, 3), _count)
    PUBLISHED[f"plain{_depth}"] = (f"plain{_depth}", {}, (32, 32, 3), _count)


@pytest.mark.parametrize(
    ("name", "options", "shape", "parameters"), PUBLISHED.values(), ids=PUBLISHED
)
def test_a_network_of_the_literature_has_its_published_number_of_parameters(
    name: str, options: dict[str, Any], shape: tuple[int, ...], parameters: int
) -> None:
    classes = 10 if shape == (32, 32, 3) else 1000
    module = network({"name": name, "options": options}, classes=classes)
    summary = summarise(module, shape)  # without weights
    assert summary.parameters == parameters
    assert summary.output_shape == (classes,)


def shapes_within(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    module = network({"name": name, "options": options}, classes=1000)
    return {step.path: step.output_shape for step in steps(module, shape)}


def test_activations_have_the_shapes_of_the_papers() -> None:
    alexnet = shapes_within("alexnet", {}, (227, 227, 3))
    assert [alexnet[f"features.{i}"] for i in (0, 2, 4, 6, 8, 10, 12, 14)] == [
        (55, 55, 96),
        (27, 27, 96),
        (27, 27, 256),
        (13, 13, 256),
        (13, 13, 384),
        (13, 13, 384),
        (13, 13, 256),
        (6, 6, 256),
    ]
    zfnet = shapes_within("zfnet", {}, IMAGE)
    assert [zfnet[f"features.{i}"] for i in (0, 2, 4, 6, 14)] == [
        (110, 110, 96),
        (55, 55, 96),
        (26, 26, 256),
        (13, 13, 256),
        (6, 6, 256),
    ]
    for variant in ("paper", "torchvision"):
        googlenet = shapes_within("googlenet", {"variant": variant}, IMAGE)
        assert googlenet["conv1"] == (112, 112, 64)
        assert googlenet["maxpool2"] == (28, 28, 192)
        assert googlenet["inception3a"] == (28, 28, 256)
        assert googlenet["inception4e"] == (14, 14, 832)
        assert googlenet["inception5b"] == (7, 7, 1024)
        assert googlenet["aux1.pool"][:2] == (4, 4)
    naive = shapes_within("googlenet", {"naive": True}, IMAGE)
    assert naive["inception3a"] == (28, 28, 64 + 128 + 32 + 192)
    resnet = shapes_within("resnet50", {}, IMAGE)
    assert [resnet[f"layer{i}.0"] for i in (1, 2, 3, 4)] == [
        (56, 56, 256),
        (28, 28, 512),
        (14, 14, 1024),
        (7, 7, 2048),
    ]
    assert resnet["layer2.0.conv1"] == (56, 56, 128)
    assert shapes_within("resnet50", {"stride_in": "1x1"}, IMAGE)["layer2.0.conv1"][0] == 28


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("lenet", {}, 12),
        ("lenet", {"padding": 0}, 16),
        ("convnet", {"m": 3}, 8),
        ("alexnet", {}, 67),
        ("alexnet", {"variant": "torchvision"}, 63),
        ("zfnet", {}, 53),
        ("vgg16", {}, 32),
        ("googlenet", {}, 79),
        ("googlenet", {"auxiliary": False}, 31),
        ("googlenet", {"variant": "torchvision"}, 15),
        ("resnet18", {}, 1),
        ("resnet152", {}, 1),
        ("resnet20", {}, 1),
        ("plain20", {}, 1),
    ],
)
def test_a_network_takes_every_image_its_arithmetic_allows_and_says_from_which_size(
    name: str, options: dict[str, Any], least: int
) -> None:
    module = network({"name": name, "options": options}, classes=7)
    for size in ((least, least, 1), (least + 3, least, 3)):
        assert shapes_only(module, size) == (7,)
    if least == 1:
        return
    for size in ((least - 1, least, 3), (least, least - 1, 3)):
        with pytest.raises(ShapeError, match=rf"takes images from {least}×{least} pixels, got"):
            shapes_only(module, size)
    module.least_size = 1
    with pytest.raises(ShapeError, match="does not fit"):  # so the size is the least indeed
        shapes_only(module, (least - 1, least - 1, 3))


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "resnet20", "plain20"])
def test_a_network_trains_on_small_images_and_other_numbers_of_classes(name: str) -> None:
    options = {"variant": "torchvision"} if name == "googlenet" else {}
    module = network({"name": name, "options": options}, classes=3)
    build(module, (33, 32, 1), seed=0)
    labels = np.array([0, 2])

    def criterion(logits: Array) -> tuple[float, Array]:
        return softmax_cross_entropy(logits, labels)

    x = np.random.default_rng(0).standard_normal((2, 33, 32, 1)).astype(np.float32)
    run = Run(training=True, samples=np.arange(2), input_gradient=False, criterion=criterion)
    logits, backward = module.forward(x, run)
    backward(criterion(logits)[1])
    assert logits.dtype == np.float32
    for path, parameter in module.parameters().items():
        assert np.isfinite(parameter.grad).all(), path
        assert parameter.grad.any(), path


def test_parameters_are_named_as_torchvision_names_them() -> None:
    expected = {
        "alexnet": ["features.0.weight", "features.10.bias", "classifier.1.weight"],
        "vgg16": ["features.28.weight", "classifier.0.weight", "classifier.6.bias"],
        "googlenet": [
            "conv1.conv.weight",
            "conv1.bn.running_var",
            "inception3a.branch1.conv.weight",
            "inception3a.branch2.0.conv.weight",
            "inception5b.branch4.1.bn.bias",
            "aux2.conv.conv.weight",
            "aux1.fc1.weight",
            "fc.bias",
        ],
        "resnet50": [
            "conv1.weight",
            "bn1.running_mean",
            "layer1.0.conv3.weight",
            "layer1.0.downsample.0.weight",
            "layer1.0.downsample.1.running_var",
            "layer4.2.bn3.weight",
            "fc.weight",
        ],
    }
    for name, wanted in expected.items():
        options = {"variant": "torchvision"} if name in ("alexnet", "googlenet") else {}
        module = network({"name": name, "options": options}, classes=1000)
        paths = {step.path for step in steps(module, IMAGE)}
        assert {one.rpartition(".")[0] for one in wanted} <= paths


def starts(name: str) -> dict[str, tuple[Any, float]]:
    """How weights and biases start, by the layer's path, as the paper has it."""
    module = network({"name": name, "options": {"start": "paper"}}, classes=1000)
    return {
        path: (layer.start, layer.bias_start)
        for path, layer in module.modules()
        if isinstance(layer, Conv2d | Linear)
    }


def test_a_papers_own_weights_start_as_it_says() -> None:
    for name in ("alexnet", "zfnet"):
        layers = starts(name)
        assert {weights for weights, _ in layers.values()} == {0.01}
        assert {path for path, (_, bias) in layers.items() if bias} == {
            *("features.4", "features.10", "features.12", "classifier.0", "classifier.3")
        }
        assert {bias for _, bias in layers.values()} == {0.0, 1.0}
    assert set(starts("vgg11").values()) == {(0.1, 0.0)}
    assert starts("googlenet")["inception4a.branch2.1.conv"] == ("xavier", 0.2)
    normal = network({"name": "googlenet", "options": {"start": "torchvision"}}, classes=10)
    drawn = {one.start for _, one in normal.modules() if isinstance(one, Conv2d | Linear)}
    assert drawn == {Normal(0.01, cut=2.0)}


def test_options_of_one_variant_are_refused_by_the_other() -> None:
    for name, options, path in (
        ("alexnet", {"variant": "torchvision", "groups": 2}, "options.groups"),
        ("googlenet", {"variant": "torchvision", "naive": True}, "options.naive"),
        ("resnet18", {"stride_in": "1x1"}, "options.stride_in"),
    ):
        with pytest.raises(SpecError) as caught:
            network({"name": name, "options": options}, classes=3)
        assert caught.value.path == path


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


def test_an_image_too_small_is_refused_with_the_size_that_is_enough() -> None:
    with pytest.raises(ShapeError, match="takes images from 12×12 pixels, got 8×8"):
        shapes_only(network({"name": "lenet"}, classes=10), (8, 8, 1))
