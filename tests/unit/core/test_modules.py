"""What every layer and combinator has to hold: shape, gradient, evaluation, state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    ELU,
    EVALUATION,
    GELU,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    DTypeError,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    Logits,
    Maxout,
    MaxPool,
    Module,
    ReLU,
    Run,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SiLU,
    Softmax,
    SpatialDropout,
    SpecError,
    StateError,
    Subsample,
    Sum,
    Tanh,
    Upsample,
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
    "conv in groups": (lambda: Conv2d(4, 3, groups=2, padding=1), (4, 5, 6), 2, (4, 5, 4)),
    "conv by channel": (lambda: Conv2d(6, 3, groups=3, stride=2), (5, 6, 3), 1, (2, 2, 6)),
    "conv dilated": (lambda: Conv2d(2, 3, dilation=2, padding=2), (5, 6, 2), 2, (5, 6, 2)),
    "conv with all of it": (
        lambda: Conv2d(
            4, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(3, 2), groups=2, bias=False
        ),
        (7, 6, 4),
        2,
        (3, 6, 4),
    ),
    "conv of 1×1 strided": (lambda: Conv2d(3, 1, stride=2), (5, 4, 2), 2, (3, 2, 3)),
    "linear": (lambda: Linear(4), (5,), 3, (4,)),
    "linear without bias": (lambda: Linear(4, bias=False), (5,), 1, (4,)),
    "max pool": (lambda: MaxPool(2), (5, 4, 3), 2, (2, 2, 3)),
    "max pool overlapping": (lambda: MaxPool(3, stride=2, padding=1), (7, 6, 2), 2, (4, 3, 2)),
    "max pool with gaps": (lambda: MaxPool(2, stride=3), (8, 7, 1), 1, (3, 2, 1)),
    "max pool oblong": (lambda: MaxPool((1, 3), stride=(2, 1)), (4, 5, 2), 2, (2, 3, 2)),
    "max pool over the edge": (
        lambda: MaxPool(3, stride=2, ceil=True),
        (6, 4, 2),
        2,
        (3, 2, 2),
    ),
    "max pool larger than the image": (
        lambda: MaxPool(3, stride=2, padding=1, ceil=True),
        (1, 2, 1),
        1,
        (1, 2, 1),
    ),
    "avg pool over the edge": (
        lambda: AvgPool(3, stride=2, padding=1, ceil=True),
        (6, 4, 2),
        2,
        (4, 3, 2),
    ),
    "avg pool of what is there": (
        lambda: AvgPool(3, stride=2, padding=1, ceil=True, count_padding=False),
        (6, 5, 2),
        2,
        (4, 3, 2),
    ),
    "global avg pool": (lambda: GlobalAvgPool(), (3, 4, 2), 2, (2,)),
    "adaptive avg pool": (lambda: AdaptiveAvgPool((2, 3)), (5, 4, 2), 2, (2, 3, 2)),
    "adaptive avg pool to more": (lambda: AdaptiveAvgPool(5), (3, 2, 2), 2, (5, 5, 2)),
    "adaptive avg pool of its size": (lambda: AdaptiveAvgPool(3), (3, 3, 2), 1, (3, 3, 2)),
    "upsample": (lambda: Upsample((2, 3)), (3, 2, 2), 2, (6, 6, 2)),
    "subsample": (lambda: Subsample(5), (5, 4, 2), 2, (3, 2, 5)),
    "subsample of the same": (lambda: Subsample(2, stride=1), (2, 3, 2), 1, (2, 3, 2)),
    "local response norm": (lambda: LocalResponseNorm(), (2, 3, 7), 2, (2, 3, 7)),
    "local response norm of few": (
        lambda: LocalResponseNorm(4, alpha=0.5, beta=1.3, k=0.7),
        (2, 1, 3),
        1,
        (2, 1, 3),
    ),
    "maxout": (lambda: Maxout(3), (2, 3, 6), 2, (2, 3, 2)),
    "maxout of vectors": (lambda: Maxout(), (6,), 3, (3,)),
    "avg pool": (lambda: AvgPool(2), (5, 4, 3), 2, (2, 2, 3)),
    "avg pool overlapping": (lambda: AvgPool(3, stride=2, padding=1), (7, 6, 2), 2, (4, 3, 2)),
    "avg pool with gaps": (lambda: AvgPool(2, stride=3), (8, 7, 1), 1, (3, 2, 1)),
    "batch norm of images": (lambda: BatchNorm(), (3, 4, 2), 3, (3, 4, 2)),
    "batch norm of vectors": (lambda: BatchNorm(momentum=0.3), (4,), 6, (4,)),
    "batch norm of one image": (lambda: BatchNorm(), (3, 3, 1), 1, (3, 3, 1)),
    "relu": (lambda: ReLU(), (3, 4, 2), 2, (3, 4, 2)),
    "leaky relu": (lambda: LeakyReLU(0.2), (3, 4, 2), 2, (3, 4, 2)),
    "leaky relu, steep": (lambda: LeakyReLU(3), (5,), 2, (5,)),
    "elu": (lambda: ELU(0.7), (3, 4, 2), 2, (3, 4, 2)),
    "gelu": (lambda: GELU(), (3, 4, 2), 2, (3, 4, 2)),
    "silu": (lambda: SiLU(), (5,), 3, (5,)),
    "softmax": (lambda: Softmax(), (5,), 3, (5,)),
    "softmax of each pixel": (lambda: Softmax(), (2, 3, 4), 2, (2, 3, 4)),
    "sigmoid": (lambda: Sigmoid(), (5,), 2, (5,)),
    "tanh": (lambda: Tanh(), (5,), 2, (5,)),
    "dropout": (lambda: Dropout(0.4), (3, 4, 2), 2, (3, 4, 2)),
    "spatial dropout": (lambda: SpatialDropout(0.4), (2, 3, 6), 3, (2, 3, 6)),
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
    run_of_training = Run(training=True)
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


def test_a_module_built_in_float32_refuses_float64(case: Any) -> None:
    make, shape, batch, _ = case
    module = make()
    build(module, shape, seed=0)
    x = np.ones((batch, *shape))
    if isinstance(module, Sequential) and not module.children():
        return  # nothing in it computes
    with pytest.raises(DTypeError, match="built in float32, got float64"):
        module(x)
    with pytest.raises(DTypeError, match="built in float32, got float64"):
        module.forward(x, EVALUATION)


@pytest.mark.parametrize("shape", [(4,), (4, 4)])
def test_what_works_on_images_refuses_vectors(shape: Shape) -> None:
    kinds = (GlobalAvgPool(), AdaptiveAvgPool(2), Upsample(), Subsample(4), LocalResponseNorm())
    for module in (*kinds, SpatialDropout()):
        with pytest.raises(ShapeError, match="takes images"):
            shapes_only(module, shape)


def test_groups_divide_both_numbers_of_channels() -> None:
    with pytest.raises(SpecError, match="groups must divide filters, got 4 and 6"):
        Conv2d(6, 3, groups=4)
    with pytest.raises(ShapeError, match="got 5 channels, which 2 does not divide"):
        shapes_only(Conv2d(6, 3, groups=2), (5, 5, 5))
    with pytest.raises(ShapeError, match="groups of 3, got 7, which 3 does not divide"):
        shapes_only(Maxout(3), (7,))
    with pytest.raises(ShapeError, match="kernel 3×3 with dilation 3, 3 does not fit into 6×9"):
        shapes_only(Conv2d(6, 3, dilation=3), (6, 9, 1))


def test_spatial_dropout_drops_whole_channels() -> None:
    module = SpatialDropout(0.5)
    build(module, (4, 3, 200), seed=0)
    x = np.ones((2, 4, 3, 200), np.float32)
    run = Run(training=True, samples=np.arange(2))
    y, _ = module.forward(x, run)
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert 0.3 < (y == 0).mean() < 0.7


def test_dropout_keeps_a_byte_a_value() -> None:
    module = Dropout(0.5)
    build(module, (1000,), seed=0)
    run = Run(training=True, samples=np.arange(2))
    _, backward = module.forward(np.ones((2, 1000), np.float32), run)
    held = [cell.cell_contents for cell in backward.__closure__ or ()]
    assert [a.dtype for a in held if isinstance(a, np.ndarray)] == [np.dtype(bool)]


def test_a_max_pool_keeps_neither_its_input_nor_its_output() -> None:
    module = MaxPool(2)
    build(module, (4, 4, 3), seed=0)
    _, backward = module.forward(np.ones((2, 4, 4, 3), np.float32), EVALUATION)
    held = [cell.cell_contents for cell in backward.__closure__ or ()]
    arrays = [a for one in held for a in (one if isinstance(one, tuple) else (one,)) if np.ndim(a)]
    assert {a.dtype for a in arrays} == {np.dtype(np.uint8)}


def test_truncated_weights_have_no_tails_and_he_s_width() -> None:
    module = Linear(300, start="truncated", bias_start=0.5)
    build(module, (200,), seed=0)
    weight = module.state()["weight"]
    assert weight.std() == pytest.approx(0.1, rel=0.02)
    assert np.abs(weight).max() <= 0.2 / 0.8796
    assert (module.state()["bias"] == 0.5).all()
    fixed = Conv2d(64, 3, start=0.01)
    build(fixed, (8, 8, 64), seed=0)
    assert fixed.state()["weight"].std() == pytest.approx(0.01, rel=0.02)
    wide = Conv2d(64, 3, start="he_out")
    build(wide, (8, 8, 16), seed=0)
    assert wide.state()["weight"].std() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
