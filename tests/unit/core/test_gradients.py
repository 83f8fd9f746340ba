"""Gradients of layers on shapes that hypothesis draws, in float64, to 1e-7."""

from collections.abc import Callable

from convnest_core import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    CoreError,
    GlobalAvgPool,
    LeakyReLU,
    LocalResponseNorm,
    Maxout,
    MaxPool,
    Module,
    Sequential,
    Shape,
    Softmax,
    SpatialDropout,
    Subsample,
    Sum,
    Tanh,
    Upsample,
    shapes_only,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

# The fixture it shares between examples is a function.
some = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
sizes = st.integers(1, 6)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
Error = Callable[..., float]


def fits(module: Module, shape: Shape) -> bool:
    try:
        shapes_only(module, shape)
    except CoreError:
        return False
    return True


@some
@given(data=st.data(), height=sizes, width=sizes, batch=st.integers(1, 2))
def test_convolutions(
    data: st.DataObject, height: int, width: int, batch: int, error_of_gradients: Error
) -> None:
    groups, inputs, filters = (data.draw(st.integers(1, 2)) for _ in range(3))
    module = Conv2d(
        filters * groups,
        data.draw(pairs),
        stride=data.draw(pairs),
        padding=data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=data.draw(pairs),
        groups=groups,
        bias=data.draw(st.booleans()),
    )
    shape = height, width, inputs * groups
    assume(fits(module, shape))
    assert error_of_gradients(module, shape, batch=batch, training=True) <= 1e-7


@some
@given(data=st.data(), height=sizes, width=sizes, channels=st.integers(1, 2))
def test_pools(
    data: st.DataObject, height: int, width: int, channels: int, error_of_gradients: Error
) -> None:
    size, stride = data.draw(pairs), data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = data.draw(st.integers(0, size[0] // 2)), data.draw(st.integers(0, size[1] // 2))
    ceil, counted = data.draw(st.booleans()), data.draw(st.booleans())
    shape = height, width, channels
    for module in (
        MaxPool(size, stride=stride, padding=padding, ceil=ceil),
        AvgPool(size, stride=stride, padding=padding, ceil=ceil, count_padding=counted),
    ):
        assume(fits(module, shape))
        assert error_of_gradients(module, shape, batch=2, training=True) <= 1e-7


@some
@given(data=st.data(), height=sizes, width=sizes, channels=st.integers(1, 4))
def test_layers_that_resize_and_normalise(
    data: st.DataObject, height: int, width: int, channels: int, error_of_gradients: Error
) -> None:
    modules: list[Module] = [
        AdaptiveAvgPool(data.draw(pairs)),
        GlobalAvgPool(),
        Upsample(data.draw(pairs)),
        Subsample(channels + 1, stride=data.draw(pairs)),
        LocalResponseNorm(data.draw(st.integers(1, 6)), alpha=0.8, beta=0.6, k=0.9),
        SpatialDropout(0.3),
        Softmax(),
        LeakyReLU(0.3),
    ]
    modules += [Maxout(2)] if channels % 2 == 0 else []
    shape = height, width, channels
    for module in modules:
        for training in (True, False):
            assert error_of_gradients(module, shape, batch=2, training=training) <= 1e-7


@some
@given(height=sizes, width=sizes, channels=st.integers(1, 3), batch=st.integers(1, 4))
def test_batch_norm(
    height: int, width: int, channels: int, batch: int, error_of_gradients: Error
) -> None:
    # From so few values that their deviation is ε's alone, differences say little.
    assume(batch * height * width >= 4)
    for training in (True, False):
        error = error_of_gradients(
            BatchNorm(), (height, width, channels), batch=batch, training=training
        )
        assert error <= 1e-7


@some
@given(
    width=st.sampled_from([1, 3]),
    size=st.integers(2, 4),
    channels=st.integers(1, 3),
    batch=st.integers(1, 2),
)
def test_combinations(
    width: int, size: int, channels: int, batch: int, error_of_gradients: Error
) -> None:
    def branch() -> Module:
        return Sequential([Conv2d(channels, width, padding=width // 2), Tanh()])

    shared = branch()
    residual = Sum({"": Sequential({"a": shared, "b": shared}), "shortcut": Sequential([])})
    inception = Concat([branch(), Sequential([]), AvgPool(3, stride=1, padding=1)])
    module = Sequential([residual, inception])
    assert error_of_gradients(module, (size, size, channels), batch=batch, training=True) <= 1e-7
