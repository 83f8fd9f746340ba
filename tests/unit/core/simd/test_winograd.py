"""Winograd's convolutions by the generated kernels: each equals NumPy's in float64."""

from dataclasses import dataclass

import numpy as np
import pytest
from convnest_core import Array, Shape
from convnest_core.kernels import plain
from convnest_core.kernels.planned import Share, Weights
from convnest_core.kernels.simd.machine import machine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import winograd, winograd_gradient

BOUND = 2e-5  # of the largest value of the result

some = settings(max_examples=25, deadline=None)
channels = st.sampled_from([1, 3, 16, 17, 32, 33, 47, 70])


@dataclass
class Case:
    """A convolution at stride 1, and an input of it."""

    x: Array
    w: Array
    b: Array
    padding: tuple[int, int]

    @property
    def kernel(self) -> int:
        return len(self.w)

    @property
    def y(self) -> Array:
        x, w, b = (value.astype(np.float64) for value in (self.x, self.w, self.b))
        return plain.convolve(x, w, b, stride=(1, 1), padding=self.padding)

    def gradients(self, dy: Array) -> tuple[Array, Array, Array]:
        x, w, dy = (value.astype(np.float64) for value in (self.x, self.w, dy))
        dx, dw, db = plain.convolve_backward(
            x, w, dy, stride=(1, 1), padding=self.padding, bias=True, input_gradient=True
        )
        assert dx is not None
        assert dw is not None
        assert db is not None
        return dx, dw, db


def array(shape: Shape, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error(got: Array, wanted: Array) -> float:
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    return float(np.abs(got - wanted).max(initial=0) / max(1e-3, np.abs(wanted).max(initial=0)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kernel = draw(st.sampled_from([3, 5]))
    padding = draw(st.tuples(*[st.integers(0, kernel)] * 2))
    size = draw(st.tuples(*[st.integers(1, 13)] * 2))
    assume(all(n + 2 * p >= kernel for n, p in zip(size, padding, strict=True)))
    c, o = draw(channels), draw(channels)
    x = array((draw(st.integers(1, 3)), *size, c), 0)
    return Case(x, array((kernel, kernel, c, o), 1), array((o,), 2), padding)


def wide(x: Array, seed: int) -> Array:
    """x as a slice of wider pixels."""
    wider = array((*x.shape[:3], x.shape[3] + 5), seed)
    part = wider[..., 3:-2]
    part[...] = x
    return part


@some
@given(case=cases(), biased=st.booleans())
def test_forward(case: Case, biased: bool) -> None:
    b = case.b if biased else np.zeros_like(case.b)
    got = winograd.convolve(case.x, case.w, b if biased else None, padding=case.padding)
    assert error(got, Case(case.x, case.w, b, case.padding).y) <= BOUND


@some
@given(case=cases())
def test_gradients(case: Case) -> None:
    dy = array(case.y.shape, 3)
    dx, dw, db = case.gradients(dy)
    size = case.x.shape[1:3]
    got = winograd.input_gradient(dy, case.w, size=size, padding=case.padding)
    assert error(got, dx) <= BOUND
    got_w, got_b = winograd_gradient.weight_gradient(
        case.x, dy, kernel=case.kernel, padding=case.padding, bias=True
    )
    assert got_b is not None
    assert error(got_w, dw) <= BOUND
    assert error(got_b, db) <= BOUND


@some
@given(
    case=cases(),
    members=st.integers(1, 3),
    rectified=st.booleans(),
    residual=st.booleans(),
    scaled=st.booleans(),
)
def test_shares_of_a_planned_kernel_write_all_of_a_slice(
    case: Case, members: int, rectified: bool, residual: bool, scaled: bool
) -> None:
    scale = array(case.b.shape, 6) if scaled else None
    kernel = winograd.planned(
        Weights(case.w, scale),
        case.b,
        padding=case.padding,
        activation="relu" if rectified else None,
    )
    scaled_w = case.w if scale is None else case.w * scale
    wanted = Case(case.x, scaled_w, case.b, case.padding).y
    added = wide(array(wanted.shape, 4), 5) if residual else None
    out = wide(np.full(wanted.shape, np.nan, np.float32), 7)
    assert out.base is not None
    beside = out.base[..., :3].copy(), out.base[..., -2:].copy()
    for rank in range(members):
        kernel(wide(case.x, 8), out, added, Share(rank, members))
    if added is not None:
        wanted = wanted + added
    if rectified:
        wanted = np.maximum(wanted, 0)
    assert error(out, wanted) <= BOUND
    np.testing.assert_array_equal(out.base[..., :3], beside[0])
    np.testing.assert_array_equal(out.base[..., -2:], beside[1])


@pytest.mark.parametrize(("channels_in", "filters"), [(64, 40), (40, 64)])
def test_more_tiles_and_weights_than_are_taken_together(
    channels_in: int, filters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "_WEIGHTS_BYTES", 1)
    x, w = array((3, 31, 30, channels_in), 0), array((3, 3, channels_in, filters), 1)
    case = Case(x, w, array((filters,), 2), (1, 1))
    assert error(winograd.convolve(x, w, case.b, padding=(1, 1)), case.y) <= BOUND
    dy = array(case.y.shape, 3)
    dx, dw, _ = case.gradients(dy)
    assert error(winograd.input_gradient(dy, w, size=(31, 30), padding=(1, 1)), dx) <= BOUND
    got, _ = winograd_gradient.weight_gradient(x, dy, kernel=3, padding=(1, 1), bias=False)
    assert error(got, dw) <= BOUND


def test_nan_survives() -> None:
    x, w = array((1, 8, 8, 16), 0), array((3, 3, 16, 16), 1)
    x[0, 2, 2, 5] = np.nan
    kernel = winograd.planned(Weights(w), None, padding=(1, 1), activation="relu")
    out = np.empty((1, 8, 8, 16), np.float32)
    kernel(x, out)
    assert np.isnan(out[0, 1:4, 1:4]).all()
    assert np.isfinite(out[0, 4:, 4:]).all()


def test_a_planned_kernel_refuses_what_its_weights_do_not_take() -> None:
    kernel = winograd.planned(
        Weights(array((3, 3, 16, 32), 0)), None, padding=(1, 1), activation=None
    )
    with pytest.raises(ValueError, match="do not take"):
        kernel(array((1, 8, 8, 17), 1), np.empty((1, 8, 8, 32), np.float32))
    assert kernel.algorithm.startswith("winograd F(4,3)")
