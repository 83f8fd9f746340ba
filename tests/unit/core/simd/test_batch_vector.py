"""Small images with the batch as the vector axis: each stage equals NumPy's, and whole networks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    Array,
    Module,
    Run,
    Sequential,
    build,
    freeze,
    kernels,
    network,
    plan,
    seeing,
    small_images,
    zero_grad,
)
from convnest_core.kernels import plain
from convnest_core.kernels.simd.machine import machine
from convnest_core.layers import Conv2d, Flatten, MaxPool, ReLU
from hypothesis import given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import batch_vector
from convnest_core.kernels.simd.batch_vector import Stage

BOUND = 1e-6  # of the largest value of the result, or of the terms that make it


@pytest.fixture(autouse=True)
def kernel_sets() -> Iterator[None]:
    yield
    kernels.use_kernels(None)


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    padding = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
    pooled = draw(st.booleans())
    smallest = [max(1 + pooled, k - 2 * p + pooled) for k, p in zip(kernel, padding, strict=True)]
    size = smallest[0] + draw(st.integers(0, 6)), smallest[1] + draw(st.integers(0, 6))
    channels, filters = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return Stage(channels, filters, kernel, padding, size, draw(st.booleans()), pooled)


def values(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_numpy(stage: Stage, x: Array, w: Array, b: Array, dy: Array) -> tuple[Array, ...]:
    """y, dx, dw, db in float64."""
    x, w, b, dy = (array.astype(np.float64) for array in (x, w, b, dy))
    window: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    y = plain.convolve(x, w, b, stride=(1, 1), padding=stage.padding)
    convolved = y = plain.relu(y) if stage.rectified else y
    if stage.pooled:
        y, places = plain.max_pool_places(y, **window)
        dy = plain.max_pool_backward(dy, places, stage.convolved, **window)
    if stage.rectified:
        dy = plain.relu_backward(convolved, dy)
    dx, dw, db = plain.convolve_backward(
        x, w, dy, stride=(1, 1), padding=stage.padding, bias=True, input_gradient=True
    )
    assert dx is not None
    assert dw is not None
    assert db is not None
    return y, dx, dw, db


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(1, 40), st.integers(0, 1000))
def test_a_stage_equals_numpys_convolution_relu_and_pooling(
    stage: Stage, images: int, seed: int
) -> None:
    x = values((images, *stage.size, stage.channels), seed)
    w, b = values((*stage.kernel, stage.channels, stage.filters), 1), values((stage.filters,), 2)
    dy = values((images, *stage.result, stage.filters), 3)
    blocks = batch_vector.enter(x, border=batch_vector.border_of([stage]))
    kept = batch_vector.forward(stage, blocks, w, b)
    y = batch_vector.leave(kept.y, np.empty_like(dy))
    gradients = batch_vector.backward(
        kept,
        w,
        batch_vector.enter(dy, border=0),
        input_gradient=True,
        weight_gradient=True,
        bias=True,
    )
    assert gradients.dx is not None
    dx = batch_vector.leave(gradients.dx, np.empty_like(x))
    terms = float(np.sqrt(dy.size))  # what the sums over the batch may cancel out
    for got, wanted in zip(
        (y, dx, gradients.dw, gradients.db), by_numpy(stage, x, w, b, dy), strict=True
    ):
        assert got is not None
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= BOUND * max(float(np.abs(wanted).max()), terms)


def test_images_come_back_as_they_went_in() -> None:
    x = values((21, 3, 5, 4), 0)
    channels_first = np.empty((21, 4, 3, 5), np.float32)
    blocks = batch_vector.enter(x[..., :3], border=2)
    batch_vector.leave(blocks, channels_first[:, :3].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(channels_first[:, :3], x[..., :3].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("rectified", [False, True])
def test_nan_survives(rectified: bool) -> None:
    stage = Stage(1, 2, (1, 1), (0, 0), (2, 2), rectified, True)
    w = np.ones((1, 1, 1, 2), np.float32)
    for place in range(4):
        x = np.ones((1, 4), np.float32)
        x[0, place] = np.nan
        blocks = batch_vector.enter(x.reshape(1, 2, 2, 1), border=1)
        kept = batch_vector.forward(stage, blocks, w, None)
        assert np.isnan(batch_vector.leave(kept.y, np.empty((1, 1, 1, 2), np.float32))).all()


def small() -> Sequential:
    """Odd sizes that pooling cuts, odd numbers of filters, two convolutions before a pooling."""
    return Sequential(
        {
            "conv1": Conv2d(5, 3, padding=1),
            "act1": ReLU(),
            "conv2": Conv2d(7, (2, 5), bias=False),
            "act2": ReLU(),
            "pool2": MaxPool(2),
            "conv3": Conv2d(4, 3),
            "act3": ReLU(),
            "flatten": Flatten(),
        }
    )


def trained(module: Module, x: Array, *, chosen: str, input_gradient: bool) -> list[Array]:
    """Output, input gradient and gradients of one pass with the kernels `chosen`."""
    kernels.use_kernels(chosen)
    zero_grad(module)
    run = Run(training=True, samples=np.arange(len(x)), input_gradient=input_gradient)
    y, backward = module.forward(x, run)
    dx = backward(values(y.shape, 5))
    gradients = [parameter.grad.copy() for parameter in module.parameters().values()]
    return [y, module(x), *([dx] if input_gradient else []), *gradients]


def largest_error(got: list[Array], wanted: list[Array]) -> float:
    return max(
        float(np.abs(one - other).max()) / max(1e-3, float(np.abs(other).max()))
        for one, other in zip(got, wanted, strict=True)
    )


@pytest.mark.parametrize("images", [8, 37])
@pytest.mark.parametrize("input_gradient", [False, True])
@pytest.mark.parametrize("frozen", [(), ("conv1",), ("conv2",), ("conv1", "conv2")])
def test_a_chain_computes_what_its_modules_do(
    images: int, input_gradient: bool, frozen: tuple[str, ...]
) -> None:
    module = small()
    build(module, (13, 12, 3), seed=1)
    for path in frozen:
        freeze(module, path)
    x = values((images, 13, 12, 3), 0)
    x.flags.writeable = False
    kernels.use_kernels("simd")
    together = small_images.chain_for(x, list(module.children().values()))
    assert together is not None
    assert len(together.modules) == 8
    got = trained(module, x, chosen="simd", input_gradient=input_gradient)
    again = trained(module, x, chosen="simd", input_gradient=input_gradient)
    wanted = trained(module, x, chosen="numpy", input_gradient=input_gradient)
    assert largest_error(got, wanted) <= 4 * BOUND
    for one, other in zip(got, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_module_used_twice_gets_both_gradients() -> None:
    again = Conv2d(4, 3, padding=1)
    module = Sequential([Conv2d(4, 3), ReLU(), again, ReLU(), again, ReLU(), MaxPool(2)])
    build(module, (8, 8, 1), seed=2)
    x = values((16, 8, 8, 1), 0)
    got = trained(module, x, chosen="simd", input_gradient=True)
    wanted = trained(module, x, chosen="numpy", input_gradient=True)
    assert largest_error(got, wanted) <= 4 * BOUND


def test_a_batch_may_be_split() -> None:
    module = small()
    build(module, (13, 12, 3), seed=1)
    x = values((40, 13, 12, 3), 0)
    kernels.use_kernels("simd")
    whole = module(x)
    np.testing.assert_allclose(np.concatenate([module(x[:17]), module(x[17:])]), whole, rtol=1e-6)


def test_a_layer_is_seen_by_its_name() -> None:
    lenet = network({"name": "lenet"}, classes=3)
    build(lenet, (12, 12, 1), seed=1)
    x = values((16, 12, 12, 1), 0)
    kernels.use_kernels("simd")
    assert seeing.features(lenet, x, "act1").shape == (16, 12, 12, 6)
    assert seeing.saliency(lenet, x).shape == (16, 12, 12)


def test_a_chain_is_for_few_channels_and_small_images() -> None:
    kernels.use_kernels("simd")

    def chained(module: Sequential, *shape: int, images: int = 16) -> int:
        build(module, shape, seed=0)
        x = np.zeros((images, *shape), np.float32)
        together = small_images.chain_for(x, list(module.children().values()))
        return 0 if together is None else len(together.modules)

    def pattern(filters: int, **options: Any) -> Sequential:
        convolution = Conv2d(filters, options.pop("kernel", 3), **options)
        return Sequential([convolution, ReLU(), MaxPool(2)])

    assert chained(pattern(16), 28, 28, 3) == 3
    assert not chained(pattern(16), 28, 28, 3, images=1)
    assert not chained(pattern(64), 28, 28, 3)
    assert not chained(pattern(16), 28, 28, 16)
    assert chained(pattern(16, kernel=5), 28, 28, 16) == 3
    assert not chained(pattern(16), 224, 224, 3)
    assert not chained(pattern(16, stride=2), 28, 28, 3)
    assert not chained(pattern(16, groups=2), 28, 28, 2)
    assert not chained(Sequential([Conv2d(6, 3), ReLU()]), 28, 28, 3)
    assert not chained(Sequential([Conv2d(6, 3), MaxPool(2)]), 28, 28, 3)


@pytest.mark.parametrize("images", [1, 7, 8, 30])
def test_a_plan_takes_a_chain_as_one_step(images: int) -> None:
    lenet = network({"name": "lenet"}, classes=3)
    build(lenet, (12, 12, 1), seed=1)
    x = values((images, 12, 12, 1), 0)
    kernels.use_kernels("simd")
    compiled = plan(lenet, (12, 12, 1), max_batch=30)
    assert "conv1 … flatten  batch as vectors" in compiled.describe()
    got = compiled(x)
    kernels.use_kernels("numpy")
    wanted = lenet(x)
    assert np.abs(got - wanted).max() <= 4 * BOUND * np.abs(wanted).max()


def test_a_plan_computes_few_images_layer_by_layer() -> None:
    lenet = network({"name": "lenet"}, classes=3)
    build(lenet, (12, 12, 1), seed=1)
    kernels.use_kernels("simd")
    most = batch_vector.fewest_images() - 1
    few, many = (plan(lenet, (12, 12, 1), max_batch=images) for images in (most, 30))
    assert "batch as vectors" not in few.describe()
    for each in (many, many.another()):
        for images in (1, most):
            x = values((images, 12, 12, 1), 0)
            assert np.array_equal(each(x), few(x))
