"""Frozen parts of a network stay as they are, and cost less."""

import numpy as np
import pytest
from convnest_core import (
    SGD,
    BatchNorm,
    Conv2d,
    CoreError,
    Flatten,
    Linear,
    Module,
    ReLU,
    Run,
    Sequential,
    build,
    freeze,
    softmax_cross_entropy,
    unfreeze,
    zero_grad,
)


def two_parts() -> Module:
    return Sequential(
        {
            "features": Sequential([Conv2d(3, 3), BatchNorm(), ReLU()]),
            "features2": BatchNorm(),
            "flatten": Flatten(),
            "fc": Linear(2),
        }
    )


def step(module: Module, *, input_gradient: bool = False) -> None:
    x = np.random.default_rng(0).standard_normal((4, 5, 5, 1)).astype(np.float32)
    run = Run(training=True, samples=np.arange(4), input_gradient=input_gradient)
    zero_grad(module)
    logits, backward = module.forward(x, run)
    dx = backward(softmax_cross_entropy(logits, np.array([0, 1, 1, 0]))[1])
    assert dx.shape == x.shape
    SGD(module.parameters(), learning_rate=0.5, weight_decay=0.1).step()


@pytest.mark.parametrize("first", ["freeze", "build"])
@pytest.mark.parametrize("input_gradient", [False, True])
def test_training_leaves_a_frozen_part_and_its_statistics_alone(
    first: str, input_gradient: bool
) -> None:
    module = two_parts()
    if first == "freeze":
        freeze(module, "features")
        build(module, (5, 5, 1), seed=0)
    else:
        build(module, (5, 5, 1), seed=0)
        freeze(module, "features")
    before = module.state()
    step(module, input_gradient=input_gradient)
    for name, array in module.state().items():
        same = np.array_equal(array, before[name])
        assert same == name.startswith("features."), name
    unfreeze(module)
    step(module)
    assert not np.array_equal(module.state()["features.0.weight"], before["features.0.weight"])
    assert not np.array_equal(
        module.state()["features.1.running_mean"], before["features.1.running_mean"]
    )


def test_a_frozen_batch_norm_normalises_as_in_evaluation() -> None:
    module = BatchNorm()
    build(module, (3,), seed=0)
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    freeze(module)
    np.testing.assert_array_equal(module.forward(x, Run(training=True))[0], module(x))


def test_the_gradients_of_what_is_trained_do_not_depend_on_what_is_frozen() -> None:
    gradients = []
    for frozen in ("features.0", "features2"):
        module = two_parts()
        build(module, (5, 5, 1), seed=0)
        freeze(module, "features.1")
        freeze(module, "features2")
        freeze(module, frozen)
        step(module)
        gradients.append(module.parameters()["fc.weight"].grad.copy())
    np.testing.assert_array_equal(gradients[0], gradients[1])


def test_a_path_that_names_nothing_is_refused() -> None:
    with pytest.raises(CoreError, match="no module 'feature'; did you mean 'features'"):
        freeze(two_parts(), "feature")
