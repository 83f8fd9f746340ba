"""What every layer and combinator has to hold: shape, gradient, evaluation, state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    EVALUATION,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    DTypeError,
    Flatten,
    Linear,
    Logits,
    MaxPool,
    Module,
    ReLU,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    StateError,
    Sum,
    Tanh,
    build,
    network,
    shapes_only,
)


def _inception() -> Module:
    return Concat(
        [
            Conv2d(2, 1),
            Sequential([Conv2d(3, 3, padding=1), ReLU()]),
            MaxPool(3, stride=1, padding=1),
        ]
    )


def _shared() -> Module:
    twice = Linear(4)
    return Sequential([twice, Tanh(), twice])


CASES: dict[str, tuple[Callable[[], Module], Shape, int, Shape]] = {
    "conv": (lambda: Conv2d(3, 3), (7, 5, 2), 2, (5, 3, 3)),
    "conv padded": (lambda: Conv2d(2, 3, padding=1), (4, 5, 3), 2, (4, 5, 2)),
    "conv strided": (lambda: Conv2d(2, 3, stride=2, padding=1), (7, 6, 2), 2, (4, 3, 2)),
    "conv with gaps": (lambda: Conv2d(2, 2, stride=3), (8, 7, 2), 2, (3, 2, 2)),
    "conv oblong": (
        lambda: Conv2d(2, (3, 2), stride=(1, 2), padding=(2, 0)),
        (3, 6, 2),
        1,
        (5, 3, 2),
    ),
    "conv of one channel and image": (lambda: Conv2d(4, 5), (6, 7, 1), 1, (2, 3, 4)),
    "conv of many channels": (lambda: Conv2d(3, 3, padding=1), (3, 3, 17), 2, (3, 3, 3)),
    "conv 1×1": (lambda: Conv2d(3, 1), (3, 3, 4), 2, (3, 3, 3)),
    "conv without bias": (lambda: Conv2d(3, 3, bias=False), (4, 5, 2), 2, (2, 3, 3)),
    "linear": (lambda: Linear(4), (5,), 3, (4,)),
    "linear without bias": (lambda: Linear(4, bias=False), (5,), 1, (4,)),
    "max pool": (lambda: MaxPool(2), (5, 4, 3), 2, (2, 2, 3)),
    "max pool overlapping": (lambda: MaxPool(3, stride=2, padding=1), (7, 6, 2), 2, (4, 3, 2)),
    "max pool with gaps": (lambda: MaxPool(2, stride=3), (8, 7, 1), 1, (3, 2, 1)),
    "max pool oblong": (lambda: MaxPool((1, 3), stride=(2, 1)), (4, 5, 2), 2, (2, 3, 2)),
    "avg pool": (lambda: AvgPool(2), (5, 4, 3), 2, (2, 2, 3)),
    "avg pool overlapping": (lambda: AvgPool(3, stride=2, padding=1), (7, 6, 2), 2, (4, 3, 2)),
    "avg pool with gaps": (lambda: AvgPool(2, stride=3), (8, 7, 1), 1, (3, 2, 1)),
    "batch norm of images": (lambda: BatchNorm(), (3, 4, 2), 3, (3, 4, 2)),
    "batch norm of vectors": (lambda: BatchNorm(momentum=0.3), (4,), 6, (4,)),
    "batch norm of one image": (lambda: BatchNorm(), (3, 3, 1), 1, (3, 3, 1)),
    "relu": (lambda: ReLU(), (3, 4, 2), 2, (3, 4, 2)),
    "sigmoid": (lambda: Sigmoid(), (5,), 2, (5,)),
    "tanh": (lambda: Tanh(), (5,), 2, (5,)),
    "dropout": (lambda: Dropout(0.4), (3, 4, 2), 2, (3, 4, 2)),
    "flatten images": (lambda: Flatten(), (3, 4, 2), 2, (24,)),
    "flatten vectors": (lambda: Flatten(), (5,), 2, (5,)),
    "logits": (lambda: Logits(5), (5,), 2, (5,)),
    "sequential": (
        lambda: Sequential([Conv2d(2, 3), Tanh(), Flatten(), Linear(3)]),
        (4, 5, 1),
        2,
        (3,),
    ),
    "sequential of nothing": (lambda: Sequential([]), (5,), 2, (5,)),
    "residual": (lambda: Sum([Sequential([]), Conv2d(2, 3, padding=1)]), (4, 3, 2), 2, (4, 3, 2)),
    "sum of three": (lambda: Sum([Linear(3), Linear(3), Tanh()]), (3,), 2, (3,)),
    "inception": (_inception, (4, 3, 2), 2, (4, 3, 7)),
    "one layer used twice": (_shared, (4,), 3, (4,)),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Any:  # pytest's params are untyped
    return request.param


def test_build_tells_the_output_shape(case: Any) -> None:
    make, shape, batch, expected = case
    module = make()
    assert shapes_only(module, shape) == expected
    assert build(module, shape, seed=0) == expected
    assert module(np.zeros((batch, *shape), np.float32)).shape == (batch, *expected)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_central_differences(
    case: Any, training: bool, error_of_gradients: Callable[..., float]
) -> None:
    make, shape, batch, _ = case
    assert error_of_gradients(make(), shape, batch=batch, training=training) <= 1e-7


def test_calling_is_an_evaluation_run(case: Any, ready: Callable[..., Any]) -> None:
    make, shape, batch, _ = case
    prepared = ready(make(), shape, batch=batch)
    expected, _ = prepared.module.forward(prepared.x, EVALUATION)
    np.testing.assert_array_equal(prepared.module(prepared.x), expected)


def test_state_goes_into_another_module_bit_for_bit(case: Any, ready: Callable[..., Any]) -> None:
    make, shape, batch, _ = case
    prepared = ready(make(), shape, batch=batch)
    other = make()
    build(other, shape, seed=2, dtype=np.float64)
    state = prepared.module.state()
    other.load_state(state)
    assert other.state().keys() == state.keys()
    assert all(np.array_equal(array, state[name]) for name, array in other.state().items())
    np.testing.assert_array_equal(other(prepared.x), prepared.module(prepared.x))


def test_no_module_keeps_activations(case: Any, ready: Callable[..., Any]) -> None:
    make, shape, batch, _ = case
    prepared = ready(make(), shape, batch=batch)
    before = {path: dict(vars(module)) for path, module in prepared.module.modules()}
    prepared.module.forward(prepared.x, EVALUATION)
    after = {path: dict(vars(module)) for path, module in prepared.module.modules()}
    assert before.keys() == after.keys()
    for path, fields in before.items():
        assert all(after[path][name] is value for name, value in fields.items())
        assert after[path].keys() == fields.keys()


def test_a_forward_pass_refuses_another_dtype_or_shape() -> None:
    module = Sequential({"first": Conv2d(2, 3)})
    build(module, (5, 5, 1), seed=0)
    with pytest.raises(DTypeError, match=r"first \(conv\): built in float32, got float64"):
        module(np.zeros((1, 5, 5, 1)))
    message = r"first \(conv\): takes a batch of one or more 5×5×1, got .* 1×6×5×1"
    with pytest.raises(ShapeError, match=message):
        module(np.zeros((1, 6, 5, 1), np.float32))
    with pytest.raises(ShapeError, match="takes a batch of one or more"):
        module(np.zeros((0, 5, 5, 1), np.float32))


def test_a_module_that_is_not_built_says_so() -> None:
    with pytest.raises(StateError, match="call build"):
        Linear(3)(np.zeros((1, 2), np.float32))
    with pytest.raises(StateError, match="call build"):
        network({"name": "lenet"}, classes=3).state()


def test_batch_norm_moves_its_running_statistics_as_published() -> None:
    module = BatchNorm(momentum=0.25)
    build(module, (2,), seed=0, dtype=np.float64)
    x = np.array([[1.0, 10.0], [3.0, 14.0], [5.0, 30.0]])
    run_of_training = EVALUATION.__class__(training=True)
    y, _ = module.forward(x, run_of_training)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    state = module.state()
    np.testing.assert_allclose(state["running_mean"], 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(state["running_var"], 0.75 + 0.25 * x.var(axis=0, ddof=1))


def test_equal_values_share_no_gradient_but_give_it_to_one_of_them() -> None:
    module = MaxPool(3, stride=2)
    build(module, (5, 5, 1), seed=0)
    _, backward = module.forward(np.ones((1, 5, 5, 1), np.float32), EVALUATION)
    dx = backward(np.ones((1, 2, 2, 1), np.float32))
    assert dx.sum() == 4
    assert set(np.unique(dx)) == {0.0, 1.0}


def test_sigmoid_does_not_overflow() -> None:
    module = Sigmoid()
    build(module, (2,), seed=0)
    y = module(np.array([[-1e30, 1e30]], np.float32))
    np.testing.assert_array_equal(y, [[0.0, 1.0]])
