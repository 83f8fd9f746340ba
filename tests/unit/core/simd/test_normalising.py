"""The generated passes of batch normalisation, ReLU and sums: each equals NumPy's."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pytest
from convnest_core import (
    Array,
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Run,
    Sequential,
    Shape,
    Sum,
    build,
    kernels,
)
from convnest_core.kernels import Affine, plain, planned
from convnest_core.kernels.aligned import empty_aligned
from convnest_core.kernels.planned import Share
from convnest_core.kernels.simd.machine import machine
from hypothesis import given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import normalising, values

BOUND = 1e-6  # of the largest value of the result

some = settings(max_examples=30, deadline=None)
# Fewer pixels than a row takes, tails of rows and of vectors, more than a run of rows.
shapes = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 70)),
    st.tuples(st.integers(1, 300), st.sampled_from([1, 16, 24, 100, 301])),
)


def array(shape: Shape, seed: int, *, mean: float = 0.0) -> Array:
    made = np.random.default_rng(seed).standard_normal(shape) + mean
    return made.astype(np.float32)


def error(got: Array, wanted: Array) -> float:
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    return float(np.abs(got - wanted).max() / max(1e-3, float(np.abs(wanted).max())))


def affine(channels: int, seed: int) -> Affine:
    return Affine(array((channels,), seed), array((channels,), seed + 1))


@some
@given(shape=shapes)
def test_moments(shape: Shape) -> None:
    x = array(shape, 0, mean=3)
    got, exact = normalising.channel_moments(x), x.astype(np.float64).reshape(-1, shape[-1])
    assert error(got, np.stack([exact.sum(axis=0), np.square(exact).sum(axis=0)])) <= BOUND


@pytest.mark.parametrize("moments", [plain.channel_moments, normalising.channel_moments])
@pytest.mark.parametrize("mean", [0.0, 1e3, -1e5])
def test_moments_keep_a_small_variance_about_a_large_mean(moments: object, mean: float) -> None:
    x = array((8, 16, 16, 5), 1, mean=mean)
    exact = x.astype(np.float64).reshape(-1, 5)
    total, square = moments(x) / len(exact)  # type: ignore[operator] # one of the two above
    np.testing.assert_allclose(total, exact.mean(axis=0), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(square - total**2, exact.var(axis=0), rtol=3e-5)


@some
@given(shape=shapes, added=st.booleans(), rectify=st.booleans())
def test_normalise(shape: Shape, added: bool, rectify: bool) -> None:
    x, by = array(shape, 0), affine(shape[-1], 1)
    residual = array(shape, 3) if added else None
    got = normalising.normalise(x, by, residual=residual, rectify=rectify)
    assert error(got, plain.normalise(x, by, residual=residual, rectify=rectify)) <= BOUND


@some
@given(shape=shapes, rectified=st.booleans(), taken=st.booleans())
def test_normalise_backward(shape: Shape, rectified: bool, taken: bool) -> None:
    channels = shape[-1]
    # Nothing near zero, where rounding decides what ReLU lets through.
    x = np.where(array(shape, 0) > 0, 1, -1).astype(np.float32) * (1 + abs(array(shape, 1)))
    by = Affine(1 + abs(array((channels,), 2)), np.zeros(channels, np.float32))
    slope = affine(channels, 3) if taken else None
    dy, mean = array(shape, 5), array((channels,), 6)
    behind = by if rectified else None
    sums = normalising.normalise_sums(dy, x, mean, rectified=behind)
    assert error(sums, plain.normalise_sums(dy, x, mean, rectified=behind)) <= BOUND
    got = normalising.normalise_backward(dy, x, by=by, slope=slope, rectified=rectified)
    wanted = plain.normalise_backward(dy, x, by=by, slope=slope, rectified=rectified)
    assert error(got, wanted) <= BOUND


@some
@given(
    shape=shapes,
    given_parts=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    relu=st.booleans(),
    slices=st.booleans(),
    members=st.integers(1, 3),
)
def test_planned_pixels_by_shares(
    shape: Shape, given_parts: tuple[bool, bool, bool], relu: bool, slices: bool, members: int
) -> None:
    by = affine(shape[-1], 1)
    scale, shift = (v if one else None for v, one in zip(by, given_parts[:2], strict=True))
    activation: Literal["relu"] | None = "relu" if relu else None
    margin = 1 if slices else 0
    inner = slice(margin, margin + shape[-1])
    wide = (*shape[:-1], shape[-1] + 2 * margin)
    x = array(wide, 3)[..., inner]
    residual = array(wide, 4)[..., inner] if given_parts[2] else None
    wanted = np.empty(shape, np.float32)
    planned.Pixels(scale, shift, activation)(x, wanted, residual)
    around = np.full(wide, 7, np.float32)
    out = around[..., inner]
    for rank in range(members):
        kernel = normalising.Pixels(scale, shift, activation)
        kernel(x, out, residual, Share(rank, members))
    assert error(out, wanted) <= BOUND
    assert (np.delete(around, range(*inner.indices(wide[-1])), axis=-1) == 7).all()
    np.copyto(out, x)
    normalising.Pixels(scale, shift, activation)(out, out, residual)
    assert error(out, wanted) <= BOUND


@pytest.mark.parametrize("shape", [(1, 1), (200, 201), (3, 40, 40, 7)])
def test_relu_and_sums(shape: Shape) -> None:
    x, y = array(shape, 0), array(shape, 1)
    np.testing.assert_array_equal(values.relu(x), plain.relu(x))
    np.testing.assert_array_equal(values.add(x, y), x + y)
    np.testing.assert_array_equal(values.add(x, y, rectify=True), np.maximum(x + y, 0))
    np.testing.assert_array_equal(values.relu_backward(x, y), np.where(x > 0, y, 0))


def test_what_is_not_a_number_stays_so() -> None:
    x = array((2, 20, 20, 50), 0)
    x[1, 2, 3, 4] = np.nan
    by = affine(50, 1)
    for y in (values.relu(x), normalising.normalise(x, by, rectify=True)):
        assert np.isnan(y[1, 2, 3, 4])
        assert np.isnan(y).sum() == 1


def test_slices_and_other_orders_of_memory_are_taken() -> None:
    wide = array((2, 6, 5, 40), 0)
    x, dy = wide[..., 3:20], np.asfortranarray(wide[..., 20:37])
    by = affine(17, 1)
    mean = np.zeros(17, np.float32)
    assert error(normalising.normalise(x, by), plain.normalise(x, by)) <= BOUND
    wanted = plain.normalise_sums(dy, x, mean, rectified=by)
    assert error(normalising.normalise_sums(dy, x, mean, rectified=by), wanted) <= BOUND


def test_aligned_arrays_begin_at_a_cache_line() -> None:
    for shape in ((), (3,), (2, 5, 7)):
        for dtype in (np.float32, np.float64):
            made = empty_aligned(shape, np.dtype(dtype))
            assert made.shape == shape
            assert made.dtype == dtype
            assert made.ctypes.data % 64 == 0
            assert made.flags.c_contiguous


def block(*, shortcut: str) -> Sequential:
    """A residual block: relu(norm(x) or x + norm(relu(norm(x))))."""
    body = Sequential({"bn1": BatchNorm(), "relu": ReLU(), "bn2": BatchNorm()})
    other = Sequential([BatchNorm()] if shortcut == "norm" else [])
    return Sequential({"": Sum({"": body, "other": other}), "relu": ReLU()})


def layers() -> Sequential:
    """Layers that take the ReLU behind them into their own pass."""
    convolutions = [Conv2d(16, 3, padding=1), ReLU(), Conv2d(5, 3, stride=2), ReLU()]
    pointwise = [Conv2d(7, 1, bias=False), ReLU()]
    return Sequential([*convolutions, *pointwise, Flatten(), Linear(9), ReLU(), Linear(40), ReLU()])


MODULES: dict[str, Callable[[], Sequential]] = {
    "identity": partial(block, shortcut="identity"),
    "norm": partial(block, shortcut="norm"),
    "layers": layers,
}


def nothing(following: object) -> None:
    """Stands for a module's `forward_with`."""


@pytest.mark.parametrize("name", MODULES)
def test_steps_in_one_pass_equal_the_same_modules_one_by_one(name: str) -> None:
    x = array((3, 5, 4, 6), 0)
    run = Run(training=True, samples=np.arange(3))
    results = []
    for kernel_set, single in (("numpy", True), ("numpy", False), ("simd", False)):
        before = kernels.kernel_set()
        kernels.use_kernels(kernel_set)
        try:
            module = MODULES[name]()
            build(module, (5, 4, 6), seed=1)
            if single:  # as if they could not be joined
                for _, inner in module.modules():
                    inner.forward_with = nothing  # type: ignore[method-assign]
            y, backward = module.forward(x, run)
            parameters = module.parameters().values()
            results.append([y, backward(array(y.shape, 1)), *(p.grad.copy() for p in parameters)])
            results[-1] += list(module.state().values())
        finally:
            kernels.use_kernels(before)
    for one_pass in results[1:]:
        for got, wanted in zip(one_pass, results[0], strict=True):
            # Some gradients are differences that all but cancel.
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)
