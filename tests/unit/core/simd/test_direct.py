"""The direct kernels equal NumPy's convolution and its gradients, over drawn shapes."""

from typing import NamedTuple

import numpy as np
import pytest
from convnest_core.arrays import Array, Pair
from convnest_core.kernels import plain
from convnest_core.kernels.planned import Geometry, Share, Weights
from convnest_core.kernels.simd import direct, direct_weights
from convnest_core.kernels.simd.machine import machine
from convnest_core.kernels.windows import slid
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(machine() is None, reason="no generated kernels here")

_NEAR = 1e-6

quick = settings(max_examples=60, deadline=None)


class Case(NamedTuple):
    """A convolution's shapes; `filters` and `channels` are those of one group."""

    images: int
    size: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    channels: int
    filters: int
    groups: int

    @property
    def output(self) -> Pair:
        return slid(
            self.size,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


@st.composite
def cases(draw: st.DrawFn, *, dilation: int = 1) -> Case:
    def pair(least: int, most: int) -> Pair:
        return draw(st.integers(least, most)), draw(st.integers(least, most))

    kernel = pair(1, 5)
    case = Case(
        images=draw(st.integers(1, 3)),
        size=pair(1, 34),
        kernel=kernel,
        stride=pair(1, 6),
        padding=(draw(st.integers(0, kernel[0] + 1)), draw(st.integers(0, kernel[1] + 1))),
        dilation=pair(1, dilation),
        channels=draw(st.integers(1, 20)),
        filters=draw(st.one_of(st.integers(1, 20), st.sampled_from((32, 40, 64, 70)))),
        groups=draw(st.sampled_from((1, 1, 2))),
    )
    assume(min(case.output) >= 1)
    return case


def some(*shape: int, seed: int) -> Array:
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    array.flags.writeable = False
    return array


def operands(case: Case) -> tuple[Array, Array, Array, Array]:
    """x, w, b, dy."""
    x = some(case.images, *case.size, case.channels * case.groups, seed=0)
    w = some(*case.kernel, case.channels, case.filters * case.groups, seed=1)
    dy = some(case.images, *case.output, case.filters * case.groups, seed=2)
    return x, w, some(w.shape[3], seed=3), dy


def exact(*arrays: Array) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


def is_near(got: Array, wanted: Array, magnitude: Array | None = None) -> bool:
    """To rounding, measured by the largest value, or by `magnitude`: each sum's without signs.

    A sum of many terms that cancel is no measure of how it was rounded.
    """
    assert got.shape == wanted.shape
    largest = float(np.abs(wanted).max(initial=1)) if magnitude is None else magnitude + 1
    return bool((np.abs(got - wanted) <= _NEAR * largest).all())


@quick
@given(cases(dilation=3))
def test_forward_equals_the_plain_convolution(case: Case) -> None:
    x, w, b, _ = operands(case)
    geometry = Geometry(case.kernel, case.stride, case.padding, case.dilation)
    x64, w64, b64 = exact(x, w, b)
    wanted = plain.convolve(
        x64,
        w64,
        b64,
        stride=case.stride,
        padding=case.padding,
        dilation=case.dilation,
        groups=case.groups,
    )
    assert is_near(direct.convolve(x, w, b, geometry=geometry, groups=case.groups), wanted)


@quick
@given(cases())
def test_gradients_equal_the_plain_ones(case: Case) -> None:
    x, w, _, dy = operands(case)
    stride, padding, groups = case.stride, case.padding, case.groups
    (dx, dw, db), (dx_size, dw_size, db_size) = (
        plain.convolve_backward(
            *operands_,
            stride=stride,
            padding=padding,
            groups=groups,
            bias=True,
            input_gradient=True,
        )
        for operands_ in (exact(x, w, dy), [np.abs(one) for one in exact(x, w, dy)])
    )
    assert dx is not None
    assert dw is not None
    assert db is not None
    got = direct.input_gradient(w, dy, case.size, stride=stride, padding=padding, groups=groups)
    assert is_near(got, dx, dx_size)
    got_dw, got_db = direct_weights.weight_gradient(
        x, w, dy, stride=stride, padding=padding, groups=groups, bias=True
    )
    assert got_db is not None
    assert is_near(got_dw, dw, dw_size)
    assert is_near(got_db, db, db_size)


@quick
@given(cases(), st.booleans(), st.booleans(), st.integers(1, 3))
def test_a_planned_kernel_finishes_what_it_sums_share_by_share(
    case: Case, residual: bool, rectified: bool, members: int
) -> None:
    """With slices of wider pixels for everything, and nothing written beside them."""
    case = case._replace(groups=1)
    x, w, b, dy = operands(case)
    geometry = Geometry(case.kernel, case.stride, case.padding)
    wanted = plain.convolve(*exact(x, w, b), stride=case.stride, padding=case.padding)
    if residual:
        wanted = wanted + dy
    if rectified:
        wanted = np.maximum(wanted, 0)
    wide_x, wide_r = (np.pad(a, ((0, 0), (0, 0), (0, 0), (3, 2))) for a in (x, dy))
    y = np.full((*wanted.shape[:3], case.filters + 5), 7, np.float32)
    kernel = direct.planned(Weights(w), b, geometry, activation="relu" if rectified else None)
    for rank in range(members):
        added = wide_r[..., 3:-2] if residual else None
        kernel(wide_x[..., 3:-2], y[..., 3:-2], added, Share(rank, members))
    assert is_near(y[..., 3:-2], wanted)
    assert (y[..., :3] == 7).all()
    assert (y[..., -2:] == 7).all()
    assert kernel.algorithm.startswith("direct ")


def test_members_may_part_the_filters_instead_of_the_rows() -> None:
    x, w = some(1, 3, 3, 8, seed=0), some(3, 3, 8, 80, seed=1)
    y = np.full((1, 3, 3, 80), np.nan, np.float32)
    kernel = direct.planned(Weights(w), None, Geometry((3, 3), padding=(1, 1)), activation=None)
    for rank in range(2):
        kernel(x, y, share=Share(rank, 2))
    assert is_near(y, plain.convolve(*exact(x, w, np.zeros(80)), stride=(1, 1), padding=(1, 1)))


def test_a_rectified_sum_that_is_no_number_stays_none() -> None:
    x = np.ones((1, 2, 2, 3), np.float32)
    x[0, 0, 0, 0] = np.nan
    for filters in (3, 70):
        w = some(1, 1, 3, filters, seed=1)
        y = np.empty((1, 2, 2, filters), np.float32)
        direct.planned(Weights(w), None, Geometry((1, 1)), activation="relu")(x, y)
        assert np.isnan(y[0, 0, 0]).all()
        assert not np.isnan(y[0, 1]).any()
