"""The gradient check, in float64, that every module of the package has to pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
from convnest_core import (
    EVALUATION,
    Array,
    Module,
    Run,
    Shape,
    build,
    single_blas_thread,
    zero_grad,
)


def run_of(batch: int, *, training: bool = True, first: int = 0) -> Run:
    return Run(training=training, seed=3, epoch=2, samples=np.arange(first, first + batch))


@dataclass
class Checked:
    """A module built in float64 with random parameters, and an input of it."""

    module: Module
    x: Array


def checked(module: Module, shape: Shape, *, batch: int) -> Checked:
    build(module, shape, seed=1, dtype=np.float64)
    rng = np.random.default_rng(7)
    for parameter in module.parameters().values():
        parameter.value += 0.3 * rng.standard_normal(parameter.value.shape)
    # All apart from each other and from zero: no difference straddles a kink.
    count = batch * prod(shape)
    x = (4 * (rng.permutation(count) + 0.3) / count - 2).reshape(batch, *shape)
    x.flags.writeable = False  # forward may not write to it
    return Checked(module, x)


def gradient_error(module: Module, shape: Shape, *, batch: int, training: bool) -> float:
    """The largest difference of backward's gradients from central differences, relative to the
    largest gradient of the same array."""
    case = checked(module, shape, batch=batch)
    run = run_of(batch, training=training) if training else EVALUATION
    y, backward = module.forward(case.x, run)
    dy = np.random.default_rng(8).standard_normal(y.shape)
    dy.flags.writeable = False
    zero_grad(module)
    gradients = {"x": backward(dy)}
    values = {"x": case.x.copy()}
    for name, parameter in module.parameters().items():
        gradients[name], values[name] = parameter.grad.copy(), parameter.value

    def objective() -> float:
        return float((module.forward(values["x"], run)[0] * dy).sum())

    errors = []
    for name, array in values.items():
        assert gradients[name].shape == array.shape
        numeric = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + 1e-5
            above = objective()
            array[place] = kept - 1e-5
            below = objective()
            array[place] = kept
            numeric[place] = (above - below) / 2e-5
        scale = max(float(np.abs(numeric).max()), 1e-3)
        errors.append(float(np.abs(gradients[name] - numeric).max()) / scale)
    return max(errors)


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Threads of BLAS that wait for each other make tests crawl where cores are few or busy."""
    with single_blas_thread():
        yield


@pytest.fixture
def error_of_gradients() -> Callable[..., float]:
    return gradient_error


@pytest.fixture
def ready() -> Callable[..., Checked]:
    return checked


@pytest.fixture
def training_run() -> Callable[..., Run]:
    return run_of
