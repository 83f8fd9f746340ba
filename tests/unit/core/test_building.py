"""Building: names, seeds, limits, and shapes without memory."""

import time
import tracemalloc

import numpy as np
import pytest
from convnest_core import (
    Concat,
    Conv2d,
    DTypeError,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Sequential,
    ShapeError,
    Sum,
    Tanh,
    build,
    network,
    shapes_only,
)


def test_equal_seeds_give_equal_parameters_and_others_do_not() -> None:
    first, second, other = (network({"name": "lenet"}, classes=4) for _ in range(3))
    build(first, (28, 28, 1), seed=5)
    build(second, (28, 28, 1), seed=5)
    build(other, (28, 28, 1), seed=6)
    for name, array in first.state().items():
        np.testing.assert_array_equal(array, second.state()[name])
        assert not name.endswith("weight") or not np.array_equal(array, other.state()[name])


def test_weights_start_as_wide_as_he_and_glorot_say() -> None:
    he, xavier = Linear(300), Linear(300, start="xavier")
    build(Sequential([he, Tanh(), xavier]), (500,), seed=0)
    assert he.state()["weight"].std() == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert xavier.state()["weight"].std() == pytest.approx((2 / 600) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("module", "shape", "path", "message"),
    [
        (
            Sequential({"layers": Sequential([ReLU(), ReLU(), Conv2d(3, 7)])}),
            (5, 5, 1),
            "layers.2",
            "layers.2 (conv): kernel 7×7 does not fit into 5×5 input",
        ),
        (
            Sequential([MaxPool(4, padding=1)]),
            (1, 1, 1),
            "0",
            "0 (max_pool): kernel 4×4 does not fit into 1×1 input with padding 1, 1",
        ),
        (
            Sequential([Conv2d(2, 3), Linear(3)]),
            (5, 5, 1),
            "1",
            "1 (linear): takes vectors, got 3×3×2; put a flatten layer before it",
        ),
        (
            Sequential([Flatten(), Conv2d(2, 3)]),
            (5, 5, 1),
            "1",
            "1 (conv): takes images (height, width, channels), got 1 dimension(s)",
        ),
        (
            Sequential([Sum([Sequential([]), Conv2d(2, 3)])]),
            (5, 5, 1),
            "0",
            "0 (sum): the branches must give one shape, got 0: 5×5×1, 1: 3×3×2",
        ),
        (
            Sequential([Concat([Sequential([]), Sequential([Conv2d(2, 3)])])]),
            (5, 5, 1),
            "0",
            "0 (concat): the branches must agree in all but the last size, got 0: 5×5×1, 1: 3×3×2",
        ),
        (
            Linear(3),
            (5, 5, 1),
            "",
            "linear: takes vectors, got 5×5×1; put a flatten layer before it",
        ),
    ],
)
def test_an_error_names_the_layer_and_both_ways_of_building_agree(
    module: Sequential, shape: tuple[int, ...], path: str, message: str
) -> None:
    with pytest.raises(ShapeError) as built:
        build(module, shape, seed=0)
    with pytest.raises(ShapeError) as walked:
        shapes_only(module, shape)
    assert str(built.value) == str(walked.value)
    if path:
        assert (str(built.value), built.value.path) == (message, path)
    else:
        assert built.value.message in message


def test_only_floats_and_positive_shapes_are_built() -> None:
    with pytest.raises(DTypeError, match="float32 or float64, got int64"):
        build(Linear(3), (2,), seed=0, dtype=np.int64)
    for shape in ((), (0,), (3, -1, 1)):
        with pytest.raises(ShapeError, match="sizes ≥ 1"):
            build(Linear(3), shape, seed=0)


def test_shapes_of_a_huge_network_need_no_memory_and_no_time() -> None:
    layers: list[object] = ["flatten"]
    layers += [{"linear": {"features": 4096}}, "relu"] * 10
    huge = network({"layers": [*layers, {"linear": {"features": 1000}}]}, classes=1000)
    tracemalloc.start()
    begun = time.perf_counter()
    assert shapes_only(huge, (224, 224, 3)) == (1000,)  # 771 million parameters
    assert time.perf_counter() - begun < 1
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_too_many_parameters_and_too_large_images_are_refused_before_they_are_made() -> None:
    wide = network(
        {"layers": ["flatten", {"linear": {"features": 65536}}, {"linear": {"features": 2}}]},
        classes=2,
    )
    with pytest.raises(ShapeError, match=r"layers.1 \(linear\).*at most 1,000,000,000") as caught:
        build(wide, (224, 224, 3), seed=0)
    assert caught.value.path == "layers.1"
    with pytest.raises(ShapeError, match="values an image"):
        shapes_only(wide, (100_000, 100_000, 3))
    grown = Sequential([Conv2d(8192, 1)])
    with pytest.raises(ShapeError, match=r"0 \(conv\).*values an image"):
        shapes_only(grown, (1000, 1000, 3))


def test_shapes_of_a_trained_module_leave_it_alone() -> None:
    module = network({"name": "convnet", "options": {"batch_norm": True}}, classes=3)
    build(module, (8, 8, 1), seed=0)
    before = module.state()
    tracemalloc.start()
    shapes_only(module, (16, 16, 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(array.nbytes for array in before.values()) / 4  # weights are not copied
    x = np.ones((1, 8, 8, 1), np.float32)
    assert module(x).shape == (1, 3)
    for name, array in module.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_module_used_twice_has_its_parameters_once_and_one_input_shape() -> None:
    shared = Linear(4)
    module = Sequential([shared, Tanh(), shared])
    build(module, (4,), seed=0)
    assert list(module.parameters()) == ["0.weight", "0.bias"]
    with pytest.raises(
        ShapeError, match="also used as 0 with input 3; here its input is 4"
    ) as caught:
        build(module, (3,), seed=0)
    assert caught.value.path == "2"
