"""Generated response normalisation: equal to NumPy's, gradients and plans too."""

from importlib import import_module

import numpy as np
import pytest
from convnest_core import Array, Shape
from convnest_core.kernels import plain, planned
from convnest_core.kernels.planned import Share
from convnest_core.kernels.simd.machine import machine
from hypothesis import given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

# The package has a function of the same name.
simd = import_module("convnest_core.kernels.simd.response_norm")

BOUND = 1e-6  # of the largest value of the result

some = settings(max_examples=30, deadline=None)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6), st.integers(1, 70))
sizes = st.sampled_from([1, 2, 3, 5, 8, 32, 33])
betas = st.sampled_from([0.75, 0.5])


def array(shape: Shape, seed: int) -> Array:
    return 3 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error(got: Array, wanted: Array) -> float:
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@some
@given(shape=shapes, size=sizes, beta=betas)
def test_forward_and_gradient(shape: Shape, size: int, beta: float) -> None:
    x, dy = array(shape, 0), array(shape, 1)
    options = {"size": size, "alpha": 0.3, "beta": beta, "k": 2.0}
    exact = x.astype(np.float64), dy.astype(np.float64)
    y = simd.response_norm(x, **options)
    assert error(y, plain.response_norm(exact[0], **options)) <= BOUND  # type: ignore[arg-type]
    dx = simd.response_norm_backward(x, dy, **options)
    wanted = plain.response_norm_backward(*exact, **options)  # type: ignore[arg-type]
    assert error(dx, wanted) <= BOUND


@some
@given(shape=shapes, size=sizes, beta=betas, members=st.integers(1, 3))
def test_planned_by_shares_of_slices(shape: Shape, size: int, beta: float, members: int) -> None:
    x = array((*shape[:-1], shape[-1] + 3), 0)[..., 2:-1]
    wanted = np.empty(shape, np.float32)
    planned.ResponseNorm(size, 0.3, beta, 2.0)(x, wanted)
    around = np.full((*shape[:-1], shape[-1] + 2), 7, np.float32)
    for rank in range(members):
        kernel = simd.planned(size, 0.3, beta, 2.0)
        kernel(x, around[..., 1:-1], share=Share(rank, members))
    assert error(around[..., 1:-1], wanted) <= BOUND
    assert (around[..., [0, -1]] == 7).all()


def test_which_kernel_ran_is_told() -> None:
    assert simd.planned(5, 1e-4, 0.75, 2.0).algorithm == "square roots"
    assert simd.planned(5, 1e-4, 0.5, 2.0).algorithm == "product with a band"
