"""Looking into networks whose answers are known by hand."""

import numpy as np
import pytest
from convnest_core import (
    Array,
    AvgPool,
    BatchNorm,
    Conv2d,
    CoreError,
    Flatten,
    Linear,
    MaxPool,
    Module,
    ReLU,
    Sequential,
    ShapeError,
    build,
)
from convnest_core.planning import plan
from convnest_core.seeing import (
    activation_grid,
    features,
    filter_grid,
    grad_cam,
    occlusion,
    saliency,
)


def some(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def small() -> Module:
    """Convolution, normalisation, ReLU, mean of each map, three scores."""
    module = Sequential(
        {
            "conv": Conv2d(4, 3, padding=1),
            "norm": BatchNorm(),
            "act": ReLU(),
            "mean": AvgPool(6),
            "flat": Flatten(),
            "fc": Linear(3),
        }
    )
    build(module, (6, 6, 3), seed=1)
    return module


@pytest.fixture
def linear() -> Module:
    module = Sequential([Flatten(), Linear(2)])
    build(module, (4, 5, 3), seed=1)
    return module


def weights_of(linear: Module) -> Array:
    """[class, height, width, channel]"""
    stored = linear.state()["1.weight"].reshape(2, 3, 4, 5)
    return stored.transpose(0, 2, 3, 1)


def test_features_are_what_the_layer_gives(small: Module) -> None:
    x = some(2, 6, 6, 3)
    children = dict(small.children())
    assert np.array_equal(features(small, x, "conv"), children["conv"](x))
    assert np.array_equal(features(small, x, ""), small(x))
    assert (features(small, x, "act") >= 0).all()
    with pytest.raises(CoreError, match=r"no layer 'cnv'; did you mean 'conv'\?"):
        features(small, x, "cnv")


def test_a_layer_used_twice_shows_its_last_use() -> None:
    layer = Conv2d(2, 1)
    module = Sequential([layer, ReLU(), layer])
    build(module, (3, 3, 2), seed=0)
    x = some(1, 3, 3, 2)
    assert np.array_equal(features(module, x, "0"), module(x))


def test_saliency_of_a_linear_network_is_its_weights(linear: Module) -> None:
    x, weights = some(2, 4, 5, 3), weights_of(linear)
    wanted = np.abs(weights).max(axis=-1)
    assert np.allclose(saliency(linear, x, np.array([1, 0])), wanted[[1, 0]])
    assert np.allclose(saliency(linear, x), wanted[linear(x).argmax(axis=1)])


def test_grad_cam_weighs_the_maps_by_the_scores_gradient(small: Module) -> None:
    x = some(2, 6, 6, 3)
    maps = features(small, x, "act")
    share = small.parameters()["fc.weight"].value / 36  # of each map's mean in each score
    for label in range(3):
        wanted = np.maximum((maps * share[:, label]).sum(axis=-1), 0)
        got = grad_cam(small, x, "act", np.array([label, label]))
        assert got.shape == (2, 6, 6)
        assert np.allclose(got, wanted, atol=1e-6)


def test_grad_cam_needs_maps(small: Module) -> None:
    with pytest.raises(ShapeError, match=r"fc: Grad-CAM needs maps .*, got 3"):
        grad_cam(small, some(1, 6, 6, 3), "fc")


@pytest.mark.parametrize("planned", [False, True])
def test_occlusion_takes_away_what_the_square_covers(linear: Module, planned: bool) -> None:
    x, weights = some(2, 4, 5, 3), weights_of(linear)
    answer = plan(linear, (4, 5, 3), max_batch=32) if planned else linear
    got = occlusion(answer, x, np.array([1, 1]), size=2, stride=2)
    assert got.shape == (2, 2, 2)
    for i, top in enumerate((0, 2)):
        for j, left in enumerate((0, 2)):
            part = slice(top, top + 2), slice(left, left + 2)
            hidden = (x[:, *part] * weights[1][part]).sum(axis=(1, 2, 3))
            assert np.allclose(got[:, i, j], linear(x)[:, 1] - hidden, atol=1e-5)


def test_looking_leaves_the_network_as_it_is(small: Module) -> None:
    x = some(2, 6, 6, 3)
    for parameter in small.parameters().values():
        parameter.grad.fill(3)
    before, answer = small.state(), small(x)
    saliency(small, x)
    grad_cam(small, x, "act")
    assert all((parameter.grad == 3).all() for parameter in small.parameters().values())
    assert all(np.array_equal(before[name], array) for name, array in small.state().items())
    assert np.array_equal(small(x), answer)


def test_classes_must_be_the_networks(small: Module) -> None:
    x = some(2, 6, 6, 3)
    for classes in (np.array([0, 3]), np.array([0]), np.array([-1, 0]), np.array([0.0, 1.0])):
        with pytest.raises(CoreError, match="classes must be 2 integers from 0 to 2"):
            saliency(small, x, classes)
    with pytest.raises(CoreError, match="got size 7, stride 1"):
        occlusion(small, x, size=7)
    relu = ReLU()
    build(relu, (4, 5, 3), seed=0)
    with pytest.raises(ShapeError, match="scores are one a class, got 4×5×3"):
        saliency(relu, some(1, 4, 5, 3))


def test_filters_are_a_grid_of_pictures_each_stretched_by_itself() -> None:
    module = Sequential([Conv2d(5, 3), MaxPool(2)])
    build(module, (8, 8, 3), seed=0)
    picture = filter_grid(module)
    assert picture.shape == (2 * 3 + 1, 3 * 3 + 2, 3)
    assert picture.dtype == np.uint8
    first = module.parameters()["0.weight"].value[..., 0]
    wanted = np.rint((first - first.min()) / np.ptp(first) * 255)
    assert np.array_equal(picture[:3, :3], wanted)
    assert (picture[4:, 8:] == 255).all()  # no sixth filter
    assert (picture[3] == 255).all()  # the gap
    with pytest.raises(CoreError, match="no convolution over 1 or 3 channels"):
        filter_grid(Sequential([Linear(2)]))


def test_activation_maps_are_a_grid_and_a_flat_one_is_black() -> None:
    maps = np.zeros((2, 2, 3), np.float32)
    maps[..., 1] = [[0, 1], [2, 4]]
    picture = activation_grid(maps)
    assert picture.shape == (5, 5, 1)
    assert (picture[:2, :2] == 0).all()
    assert picture[:2, 3:, 0].tolist() == [[0, 64], [128, 255]]
    with pytest.raises(ShapeError, match="got 1×2×2×3"):
        activation_grid(maps[None])
