"""Optimizers move as published, resume to the bit, and leave alone what they must."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    SGD,
    Adam,
    AdamW,
    Linear,
    Module,
    Optimizer,
    RMSProp,
    SpecError,
    StateError,
    build,
    freeze,
)
from convnest_core.optimizers import optimizer as tiles

Made = Callable[[Module], Optimizer]

ALL: dict[str, Made] = {
    "sgd": lambda m: SGD(m.parameters(), learning_rate=0.1, weight_decay=0.01),
    "momentum": lambda m: SGD(m.parameters(), learning_rate=0.1, momentum=0.9),
    "nesterov": lambda m: SGD(m.parameters(), learning_rate=0.1, momentum=0.9, nesterov=True),
    "adam": lambda m: Adam(m.parameters(), weight_decay=0.01),
    "adamw": lambda m: AdamW(m.parameters(), learning_rate=0.02, weight_decay=0.1),
    "rmsprop": lambda m: RMSProp(m.parameters(), weight_decay=0.01),
    "rmsprop with all of it": lambda m: RMSProp(m.parameters(), momentum=0.9, centered=True),
}


def linear() -> Linear:
    module = Linear(3)
    build(module, (4,), seed=0)
    return module


def steps(module: Module, optimizer: Optimizer, *, first: int, last: int) -> None:
    for number in range(first, last):
        rng = np.random.default_rng(number)
        for parameter in module.parameters().values():
            parameter.grad[...] = rng.standard_normal(parameter.grad.shape)
        optimizer.step()


@pytest.fixture(params=list(ALL.values()), ids=list(ALL))
def make(request: pytest.FixtureRequest) -> Any:  # pytest's params are untyped
    return request.param


def test_a_resumed_optimizer_goes_on_to_the_bit(make: Made) -> None:
    whole = linear()
    steps(whole, make(whole), first=0, last=7)
    part = linear()
    optimizer = make(part)
    steps(part, optimizer, first=0, last=3)
    resumed = linear()
    resumed.load_state(part.state())
    other = make(resumed)
    other.load_state(optimizer.state())
    steps(resumed, other, first=3, last=7)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array)


def test_the_size_of_a_tile_changes_no_bit(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = linear()
    steps(whole, make(whole), first=0, last=3)
    monkeypatch.setattr(tiles, "_TILE", 5)
    tiled = linear()
    steps(tiled, make(tiled), first=0, last=3)
    for name, array in whole.state().items():
        np.testing.assert_array_equal(tiled.state()[name], array)


def test_frozen_parameters_have_no_slots_and_stay(make: Made) -> None:
    module = linear()
    freeze(module)
    before = module.state()
    optimizer = make(module)
    assert set(optimizer.state()) <= {"steps"}
    steps(module, optimizer, first=0, last=2)
    thawed = linear()
    optimizer = make(thawed)
    freeze(thawed)
    steps(thawed, optimizer, first=0, last=2)
    for name, array in before.items():
        np.testing.assert_array_equal(module.state()[name], array)
        np.testing.assert_array_equal(thawed.state()[name], array)


def moved(make: Made, gradients: list[float]) -> list[tuple[float, float]]:
    """A weight from 2 and a bias from 3, after each step."""
    module = Linear(1)
    build(module, (1,), seed=0, dtype=np.float64)
    weight, bias = module.parameters().values()
    weight.value[...], bias.value[...] = 2.0, 3.0
    optimizer, seen = make(module), []
    for gradient in gradients:
        weight.grad[...] = bias.grad[...] = gradient
        optimizer.step()
        seen.append((weight.value.item(), bias.value.item()))
    return seen


GRADIENTS = [1.0, -2.0, 0.5]


def test_adam_moves_as_published() -> None:
    options: dict[str, Any] = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3}
    adam = moved(lambda m: Adam(m.parameters(), **options, weight_decay=0.05), GRADIENTS)
    adamw = moved(lambda m: AdamW(m.parameters(), **options, weight_decay=0.05), GRADIENTS)
    for seen, decoupled in ((adam, False), (adamw, True)):
        for index, decay in ((0, 0.05), (1, 0.0)):  # weights decay, biases do not
            value, m, v = (2.0, 3.0)[index], 0.0, 0.0
            for t, gradient in enumerate(GRADIENTS, 1):
                g = gradient if decoupled else gradient + decay * value
                value *= 1 - 0.1 * decay if decoupled else 1
                m = 0.8 * m + 0.2 * g
                v = 0.9 * v + 0.1 * g * g
                value -= 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)) ** 0.5 + 1e-3)
                assert seen[t - 1][index] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop_moves_as_published(centered: bool, momentum: float) -> None:
    seen = moved(
        lambda m: RMSProp(
            m.parameters(),
            learning_rate=0.1,
            alpha=0.9,
            epsilon=1e-3,
            momentum=momentum,
            centered=centered,
            weight_decay=0.05,
        ),
        GRADIENTS,
    )
    value, s, mean, b = 2.0, 0.0, 0.0, 0.0
    for t, gradient in enumerate(GRADIENTS):
        g = gradient + 0.05 * value
        s = 0.9 * s + 0.1 * g * g
        mean = 0.9 * mean + 0.1 * g
        width = s - mean * mean if centered else s
        b = momentum * b + g / (width**0.5 + 1e-3)
        value -= 0.1 * b
        assert seen[t][0] == pytest.approx(value, rel=1e-12)


def test_another_state_is_refused_by_name_and_nothing_is_taken() -> None:
    module = linear()
    optimizer = Adam(module.parameters())
    steps(module, optimizer, first=0, last=2)
    before = optimizer.state()
    broken: dict[str, Any] = {
        **before,
        "mean.weight": np.full((4, 3), np.nan, np.float32),
        "square.bias": np.zeros(3),
        "steps": np.array([-1]),
        "more": np.zeros(1),
    }
    del broken["mean.bias"]
    with pytest.raises(StateError) as caught:
        optimizer.load_state(broken)
    assert caught.value.missing == ("mean.bias",)
    assert caught.value.unexpected == ("more",)
    assert caught.value.mismatching == (
        "mean.weight (holds NaN or infinity)",
        "square.bias (float64 3, not float32 3)",
        "steps (is below zero)",
    )
    for name, array in optimizer.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("make_one", "field"),
    [
        (lambda: Adam({}, beta1=1), "beta1"),
        (lambda: Adam({}, beta2=-0.1), "beta2"),
        (lambda: Adam({}, epsilon=0), "epsilon"),
        (lambda: AdamW({}, weight_decay=float("inf")), "weight_decay"),
        (lambda: RMSProp({}, alpha=1), "alpha"),
        (lambda: RMSProp({}, momentum=1), "momentum"),
        (lambda: RMSProp({}, centered=1), "centered"),  # type: ignore[arg-type] # the mistake
    ],
)
def test_settings_out_of_range_are_refused(make_one: Callable[[], Optimizer], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_one()
    assert caught.value.path == field
