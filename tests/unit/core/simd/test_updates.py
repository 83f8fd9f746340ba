"""The optimizers' generated steps: equal to NumPy's over several steps."""

from collections.abc import Callable

import numpy as np
import pytest
from convnest_core import Array, kernels
from convnest_core.kernels import plain
from convnest_core.kernels.simd.machine import machine
from hypothesis import given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import updates

BOUND = 1e-6  # of the largest value

some = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 200)
shares = st.sampled_from([0.0, 0.5, 0.9])


def same(
    one: Callable[..., None], other: Callable[..., None], slots: list[bool], size: int
) -> None:
    """Three steps of both, from the same values and slots; False stands for a slot left out."""
    rng = np.random.default_rng(size)
    moved: list[list[Array | None]] = []
    # Mean squares well above the squares of means: a variance of nothing is what rounding leaves.
    scales = (1.0, 0.1, 0.1)[: len(slots)]
    start = [rng.standard_normal(size), *(s * (1 + abs(rng.standard_normal(size))) for s in scales)]
    gradients = rng.standard_normal((3, size)).astype(np.float32)
    gradients.flags.writeable = False
    for step in (one, other):
        value, *held = (array.astype(np.float32) for array in start)
        beside = [a if given_ else None for a, given_ in zip(held, slots, strict=True)]
        for gradient in gradients:
            step(value, gradient, *beside)
        moved.append([value, *beside])
    for got, wanted in zip(*moved, strict=True):
        if got is not None and wanted is not None:
            assert np.abs(got - wanted).max() <= BOUND * max(1.0, float(np.abs(wanted).max()))


@some
@given(size=sizes, momentum=shares, nesterov=st.booleans(), decay=shares)
def test_sgd(size: int, momentum: float, nesterov: bool, decay: float) -> None:
    def step(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *arrays: function(
            *arrays, rate=0.1, momentum=momentum, decay=decay, nesterov=nesterov
        )

    same(step(updates.sgd), step(plain.sgd), [momentum > 0], size)


@some
@given(size=sizes, beta1=shares, beta2=st.sampled_from([0.9, 0.999]), decay=shares)
def test_adam(size: int, beta1: float, beta2: float, decay: float) -> None:
    def step(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *arrays: function(
            *arrays, rate=0.01, beta1=beta1, beta2=beta2, epsilon=1e-8, decay=decay, spread=0.7
        )

    same(step(updates.adam), step(plain.adam), [True, True], size)


@some
@given(size=sizes, centred=st.booleans(), momentum=shares, decay=shares)
def test_rmsprop(size: int, centred: bool, momentum: float, decay: float) -> None:
    def step(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *arrays: function(
            *arrays, rate=0.01, alpha=0.9, epsilon=0.5, momentum=momentum, decay=decay
        )

    same(step(updates.rmsprop), step(plain.rmsprop), [True, centred, momentum > 0], size)


def test_float64_is_numpys() -> None:
    value, gradient = np.ones(3), np.full(3, 0.5)
    kernels.sgd(value, gradient, None, rate=1.0, momentum=0.0, decay=0.0, nesterov=False)
    np.testing.assert_array_equal(value, 0.5)
