"""Generated pooling: equal to NumPy's for layers and for plans, gradients too."""

import numpy as np
import pytest
from convnest_core import Array, Shape
from convnest_core.arrays import Pair
from convnest_core.kernels import plain, planned
from convnest_core.kernels.planned import Geometry, Share
from convnest_core.kernels.simd.machine import machine
from convnest_core.kernels.windows import slid
from hypothesis import assume, given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import pooling

BOUND = 1e-6  # of the largest value of the result

some = settings(max_examples=40, deadline=None)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 16, 70, 130])
)


def distinct(shape: Shape) -> Array:
    """Values that all differ, so that one alone is a window's largest."""
    count = int(np.prod(shape))
    values = np.random.default_rng(0).permutation(count).reshape(shape)
    return (values - count / 2).astype(np.float32)


def error(got: Array, wanted: Array) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / max(1e-3, float(np.abs(wanted).max())))


def largest_and_gradient(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    """y, and dx for a gradient of ones."""
    kernel, stride, padding = geometry.kernel, geometry.stride, geometry.padding
    y, places = pooling.max_pool_places(x, kernel=kernel, stride=stride, padding=padding)
    size = x.shape[1], x.shape[2]
    dx = pooling.max_pool_backward(
        np.ones_like(y), places, size, kernel=kernel, stride=stride, padding=padding
    )
    return y, dx


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Pair]:
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2))
    return {"kernel": kernel, "stride": stride, "padding": padding}


@some
@given(shape=shapes, window=windows(), ceil=st.booleans())
def test_the_largest_values_and_their_gradient(
    shape: Shape, window: dict[str, Pair], ceil: bool
) -> None:
    size = shape[1], shape[2]
    assume(min(slid(size, **window, ceil=ceil)) > 0)
    x = distinct(shape)
    y, places = pooling.max_pool_places(x, **window, ceil=ceil)
    wanted, wanted_places = plain.max_pool_places(x, **window, ceil=ceil)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(pooling.max_pool(x, **window, ceil=ceil), wanted)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    dx = pooling.max_pool_backward(dy, places, size, **window)
    assert error(dx, plain.max_pool_backward(dy, wanted_places, size, **window)) <= BOUND


@some
@given(shape=shapes, window=windows(), ceil=st.booleans(), count_padding=st.booleans())
def test_means_and_their_gradient(
    shape: Shape, window: dict[str, Pair], ceil: bool, count_padding: bool
) -> None:
    size = shape[1], shape[2]
    assume(min(slid(size, **window, ceil=ceil)) > 0)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = pooling.average_pool(x, **window, ceil=ceil, count_padding=count_padding)
    wanted = plain.average_pool(x, **window, ceil=ceil, count_padding=count_padding)
    assert error(y, wanted) <= BOUND
    dx = pooling.average_pool_backward(wanted, size, **window, count_padding=count_padding)
    wanted_dx = plain.average_pool_backward(wanted, size, **window, count_padding=count_padding)
    assert error(dx, wanted_dx) <= BOUND


@some
@given(shape=shapes, window=windows(), ceil=st.booleans(), size=st.integers(1, 3))
def test_planned_pooling_by_shares_of_slices(
    shape: Shape, window: dict[str, Pair], ceil: bool, size: int
) -> None:
    count = slid((shape[1], shape[2]), **window, ceil=ceil)
    assume(min(count) > 0)
    n, height, width, c = shape
    x = distinct((n, height, width, c + 3))[..., 2:-1]
    wanted = np.empty((n, *count, c), np.float32)
    kinds = ["largest"] if ceil or any(window["padding"]) else ["largest", "mean"]
    for of in kinds:
        geometry = Geometry(**window)
        planned.Pooling(geometry, of)(x, wanted)  # type: ignore[arg-type] # one of the two
        out = np.full((n, *count, c + 2), 7, np.float32)
        for rank in range(size):
            kernel = pooling.planned(geometry, of)  # type: ignore[arg-type] # one of the two
            kernel(x, out[..., 1:-1], share=Share(rank, size))
        assert error(out[..., 1:-1], wanted) <= BOUND
        assert (out[..., [0, -1]] == 7).all()


def test_one_of_several_largest_values_receives_the_gradient() -> None:
    x = np.zeros((2, 7, 7, 20), np.float32)
    y, dx = largest_and_gradient(x, Geometry((3, 3), (2, 2), (1, 1)))
    assert dx.sum() == y.size


def test_what_is_not_a_number_stays_so() -> None:
    for place in range(4):
        x = np.zeros((1, 2, 2, 5), np.float32)
        x[0, place // 2, place % 2, 3] = np.nan
        y, dx = largest_and_gradient(x, Geometry((2, 2), (2, 2)))
        np.testing.assert_array_equal(np.isnan(y).ravel(), [False] * 3 + [True, False])
        assert dx[0, place // 2, place % 2, 3] == 1


def test_windows_of_more_taps_than_a_byte_names_are_numpys() -> None:
    x = distinct((1, 18, 17, 3))
    y, dx = largest_and_gradient(x, Geometry((17, 16)))
    np.testing.assert_array_equal(y[0, :, 0, 1], [x[0, :17, :16, 1].max(), x[0, 1:, :16, 1].max()])
    assert dx.sum() == y.size
