"""Auxiliary heads: their gradient joins the trunk's, and evaluation knows nothing of them."""

from typing import Any

import numpy as np
import pytest
from convnest_core import (
    EVALUATION,
    Array,
    Auxiliary,
    CoreError,
    Flatten,
    Linear,
    Module,
    Run,
    Sequential,
    ShapeError,
    Tanh,
    build,
    shapes_only,
    softmax_cross_entropy,
    zero_grad,
)


def with_heads() -> tuple[Module, dict[str, Module]]:
    """A trunk with two heads, and the heads."""
    heads: dict[str, Module] = {
        "aux1": Sequential({"fc1": Linear(5), "act": Tanh(), "fc2": Linear(3)}),
        "aux2": Sequential({"fc": Linear(3)}),
    }
    module = Sequential(
        {
            "flatten": Flatten(),
            "fc1": Linear(6),
            "aux1": Auxiliary(heads["aux1"]),
            "act": Tanh(),
            "aux2": Auxiliary(heads["aux2"], weight=0.7),
            "fc2": Linear(3),
        }
    )
    return module, heads


def test_every_gradient_is_that_of_the_weighted_sum_of_losses() -> None:
    module, heads = with_heads()
    build(module, (2, 2, 1), seed=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((4, 2, 2, 1))
    labels = np.array([0, 2, 1, 1])

    def criterion(logits: Array) -> tuple[float, Array]:
        return softmax_cross_entropy(logits, labels)

    run = Run(training=True, criterion=criterion)

    def total() -> float:
        trunk = module.children()
        first = trunk["fc1"](x.reshape(4, -1))
        second = np.tanh(first)
        return (
            criterion(module(x))[0]
            + 0.3 * criterion(heads["aux1"](first))[0]
            + 0.7 * criterion(heads["aux2"](second))[0]
        )

    zero_grad(module)
    logits, backward = module.forward(x, run)
    np.testing.assert_array_equal(logits, module(x))
    backward(criterion(logits)[1])
    for name, parameter in module.parameters().items():
        numeric = np.zeros_like(parameter.value)
        for place in np.ndindex(numeric.shape):
            kept = parameter.value[place]
            parameter.value[place] = kept + 1e-5
            above = total()
            parameter.value[place] = kept - 1e-5
            numeric[place] = (above - total()) / 2e-5
            parameter.value[place] = kept
        error = np.abs(parameter.grad - numeric).max() / np.abs(numeric).max()
        assert error <= 1e-7, name


def test_a_heads_parameters_have_the_heads_name() -> None:
    module, _ = with_heads()
    build(module, (2, 2, 1), seed=0)
    assert {name.rsplit(".", 1)[0] for name in module.parameters()} == {
        "fc1",
        "aux1.fc1",
        "aux1.fc2",
        "aux2.fc",
        "fc2",
    }
    other, _ = with_heads()
    build(other, (2, 2, 1), seed=1)
    other.load_state(module.state())
    x = np.ones((1, 2, 2, 1), np.float32)
    np.testing.assert_array_equal(other(x), module(x))


def test_heads_stand_still_in_evaluation_and_want_the_loss_in_training() -> None:
    module, _ = with_heads()
    build(module, (2, 2, 1), seed=0)
    x = np.ones((1, 2, 2, 1), np.float32)
    zero_grad(module)
    _, backward = module.forward(x, EVALUATION)
    backward(np.ones((1, 3), np.float32))
    assert not module.parameters()["aux2.fc.weight"].grad.any()
    with pytest.raises(CoreError, match=r"aux1 \(auxiliary\): training needs the loss"):
        module.forward(x, Run(training=True))


def test_a_head_gives_one_value_a_class() -> None:
    with pytest.raises(ShapeError, match="the head must give one value for each class, got 2×2×1"):
        shapes_only(Auxiliary(Sequential([])), (2, 2, 1))


@pytest.mark.parametrize("weight", [0, -1, float("nan"), "much"])
def test_a_heads_weight_is_positive(weight: Any) -> None:
    with pytest.raises(CoreError, match="weight must be"):
        Auxiliary(Linear(3), weight=weight)
