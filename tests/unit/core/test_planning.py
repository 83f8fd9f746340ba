"""Compiled networks: a plan answers what the module answers, whatever the module is."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    AdaptiveAvgPool,
    Array,
    Auxiliary,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    CoreError,
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
    SpatialDropout,
    StateError,
    Sum,
    Tanh,
    build,
    network,
)
from convnest_core.layer_kinds import LAYERS
from convnest_core.planning import Plan, plan, segments


class _Doubled(ReLU):
    """A layer that planning knows nothing of, though it knows its parent."""

    def __call__(self, x: Array) -> Array:
        return 2 * x


def _normalised(filters: int, kernel: int, **options: Any) -> list[Module]:
    return [Conv2d(filters, kernel, bias=False, **options), BatchNorm()]


def _residual() -> Module:
    body = [*_normalised(6, 3, padding=1), ReLU(), *_normalised(6, 3, padding=1)]
    return Sequential([Conv2d(6, 1), Sum([Sequential(body), Sequential([])]), ReLU()])


def _projected() -> Module:
    body = [*_normalised(4, 1), ReLU(), *_normalised(8, 3, stride=2, padding=1)]
    shortcut = Sequential(_normalised(8, 1, stride=2))
    return Sequential([Sum([Sequential(body), shortcut]), ReLU(), AvgPool(4), Flatten()])


def _inception() -> Module:
    return Concat(
        [
            Conv2d(2, 1),
            Sequential([Conv2d(3, 3, padding=1), ReLU()]),
            Sequential([MaxPool(3, stride=1, padding=1), Conv2d(2, 1)]),
            Sequential([]),
            Concat([Sequential([]), Conv2d(3, 1)]),
        ]
    )


def _reductions() -> Module:
    return Concat(
        [
            Sequential([Conv2d(4, 1), ReLU()]),
            Sequential([*_normalised(5, 1), ReLU(), Conv2d(6, 3, padding=1)]),
            Sequential([Conv2d(3, 1), ReLU(), Conv2d(2, 5, padding=2)]),
            Sequential([Conv2d(2, 1), Conv2d(2, 3, padding=1)]),
        ]
    )


def _twice() -> Module:
    layer = Conv2d(4, 3, padding=1)
    return Sequential([Conv2d(4, 1), layer, ReLU(), layer, Sum([layer, layer])])


MODULES: dict[str, tuple[Callable[[], Module], Shape]] = {
    "conv": (lambda: Conv2d(3, 3, stride=2, padding=1), (9, 8, 2)),
    "linear": (lambda: Linear(5), (7,)),
    "batch norm alone": (BatchNorm, (4, 4, 3)),
    "batch norm of vectors": (lambda: Sequential([Linear(6), BatchNorm(), ReLU()]), (5,)),
    "batch norm first": (lambda: Sequential([BatchNorm(), ReLU(), Conv2d(3, 3)]), (6, 6, 2)),
    "relu alone": (ReLU, (4, 4, 3)),
    "relu twice": (lambda: Sequential([Conv2d(2, 1), ReLU(), ReLU()]), (4, 4, 3)),
    "sigmoid between": (lambda: Sequential([Conv2d(2, 3), Sigmoid(), Conv2d(2, 3)]), (8, 8, 1)),
    "nothing": (lambda: Sequential([]), (3, 3, 2)),
    "dropout": (lambda: Sequential([Dropout(), Logits(4)]), (4,)),
    "residual": (_residual, (8, 7, 3)),
    "projected residual": (_projected, (8, 8, 4)),
    "sum of itself": (lambda: Sum([Sequential([]), Sequential([])]), (3, 3, 1)),
    "sum of three": (lambda: Sum([Conv2d(2, 1), ReLU(), Tanh()]), (3, 3, 2)),
    "inception": (_inception, (6, 6, 3)),
    "reductions": (_reductions, (6, 6, 3)),
    "reductions behind others": (lambda: Sequential([_reductions(), _reductions()]), (5, 5, 3)),
    "inception behind another": (lambda: Sequential([_inception(), _inception()]), (5, 5, 3)),
    "a layer used twice": (_twice, (6, 6, 3)),
    "an unknown layer": (lambda: Sequential([Conv2d(2, 3), _Doubled(), Flatten()]), (6, 6, 3)),
    "an unknown layer in a join": (lambda: Concat([_Doubled(), ReLU()]), (4, 4, 3)),
    "pooling": (lambda: Sequential([MaxPool(3, stride=2, padding=1), AvgPool(2)]), (13, 9, 2)),
    "mean with padding": (lambda: AvgPool(3, stride=2, padding=1), (7, 7, 2)),
    "mean that hangs over": (lambda: AvgPool(2, ceil=True), (7, 7, 2)),
    "largest that hangs over": (lambda: MaxPool(3, stride=2, ceil=True), (8, 8, 2)),
    "groups and dilation": (lambda: Conv2d(6, 3, groups=2, dilation=2, padding=2), (9, 9, 4)),
    "groups by winograd": (lambda: Conv2d(64, 5, groups=2, padding=2), (14, 14, 32)),
    "adaptive mean of that size": (lambda: Sequential([ReLU(), AdaptiveAvgPool(4)]), (4, 4, 2)),
    "spatial dropout": (lambda: Sequential([SpatialDropout(), Conv2d(2, 1)]), (4, 4, 2)),
    "auxiliary": (
        lambda: Sequential([Conv2d(2, 1), Auxiliary(Sequential([Flatten(), Linear(3)])), ReLU()]),
        (4, 4, 2),
    ),
    "winograd": (lambda: Sequential([Conv2d(32, 3, padding=1), ReLU()]), (17, 14, 32)),
    "lenet": (lambda: network({"name": "lenet"}, classes=10), (28, 28, 1)),
    "mlp": (lambda: network({"name": "mlp"}, classes=10), (28, 28, 1)),
    "convnet": (
        lambda: network({"name": "convnet", "options": {"batch_norm": True}}, classes=10),
        (20, 20, 3),
    ),
}


def trained(module: Module, shape: Shape, dtype: Any = np.float32) -> Module:
    """Built, with every parameter and statistic away from where it starts."""
    build(module, shape, seed=3, dtype=dtype)
    rng = np.random.default_rng(0)
    for _, inner in module.modules():
        for parameter in inner.own_parameters().values():
            parameter.value += 0.1 * rng.standard_normal(parameter.value.shape).astype(dtype)
        for buffer in inner.own_buffers().values():
            buffer += rng.uniform(0.1, 0.9, buffer.shape).astype(dtype)
    return module


def images(count: int, shape: Shape, dtype: Any = np.float32) -> Array:
    x: Array = np.random.default_rng(1).standard_normal((count, *shape)).astype(dtype)
    x.flags.writeable = False  # a plan may not write to it
    return x


def agree(planned: Plan, module: Module, x: Array) -> None:
    wanted, got = module(x), planned(x)
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max()


@pytest.fixture(params=[None, 1], ids=["large chunks", "an image at a time"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(segments, "_CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("name", MODULES)
def test_a_plan_answers_what_the_module_answers(name: str) -> None:
    make, shape = MODULES[name]
    module = trained(make(), shape)
    planned = plan(module, shape, max_batch=5)
    for count in (5, 1, 3):
        agree(planned, module, images(count, shape))


REQUIRED = {
    "conv": {"filters": 3, "kernel": 3},
    "linear": {"features": 3},
    "adaptive_avg_pool": {"size": 3},
    "subsample": {"channels": 6},
    "max_pool": {"size": 2},
    "avg_pool": {"size": 2},
}


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_that_a_description_can_list_is_planned(kind: str) -> None:
    module = LAYERS[kind].make(**REQUIRED.get(kind, {}))
    for shape in ((8, 8, 4), (8,)):
        with suppress(ShapeError):
            trained(module, shape)
            agree(plan(module, shape, max_batch=2), module, images(2, shape))
            return
    raise AssertionError("takes neither images nor vectors")


@pytest.mark.parametrize("name", ["residual", "inception", "winograd"])
def test_a_plan_in_float64_is_exact(name: str) -> None:
    make, shape = MODULES[name]
    module = trained(make(), shape, np.float64)
    x = images(2, shape, np.float64)
    assert np.abs(plan(module, shape, max_batch=2)(x) - module(x)).max() <= 1e-11


def test_batch_norm_sum_and_relu_join_the_convolution_before() -> None:
    module = trained(_residual(), (8, 7, 3))
    paths = [layer.path for layer in plan(module, (8, 7, 3), max_batch=1).layers]
    assert paths == ["0", "1.0.0 + 1 + 2", "1.0.3 + 4 + 1 + 2"]


def test_convolutions_of_single_pixels_that_read_the_same_are_one() -> None:
    layers = plan(trained(_reductions(), (6, 6, 3)), (6, 6, 3), max_batch=1).layers
    paths = [(layer.path, layer.output_shape[-1]) for layer in layers]
    assert paths == [
        ("0.0 + 1", 4),
        ("1.0 + 1 + 2 | 2.0 + 1", 8),
        ("1.3", 6),
        ("2.2", 2),
        ("3.0", 2),  # without a ReLU
        ("3.1", 2),
    ]


def test_branches_of_a_join_are_not_copied_where_they_can_be_written_in_place() -> None:
    module = trained(Concat([Conv2d(2, 1), Conv2d(3, 3, padding=1)]), (6, 6, 3))
    algorithms = [layer.algorithm for layer in plan(module, (6, 6, 3), max_batch=1).layers]
    assert [name.split()[0] for name in algorithms] in (
        ["product", "im2col"],
        ["product", "direct"],
    )


def test_buffers_are_shared_by_values_that_are_never_alive_together() -> None:
    deep = trained(Sequential([Conv2d(8, 1) for _ in range(10)]), (16, 16, 8))
    value_bytes = 16 * 16 * 8 * 4
    inside_and_result = 2 * 4 * value_bytes + 4 * value_bytes
    assert plan(deep, (16, 16, 8), max_batch=4).buffer_bytes == inside_and_result


def test_a_description_names_layers_algorithms_and_shapes() -> None:
    module = trained(MODULES["winograd"][0](), (17, 14, 32))
    text = plan(module, (17, 14, 32), max_batch=2).describe()
    assert re.search(r"0 \+ 1   winograd F\(4,3\)[ 0-9×]*  17×14×32  17×14×32", text)
    assert "batches of 1 to 2" in text


def test_a_description_tells_what_was_measured_layer_by_layer() -> None:
    module = trained(MODULES["winograd"][0](), (17, 14, 32))
    planned = plan(module, (17, 14, 32), max_batch=3)
    before = planned.describe()
    seconds = planned.measure(images(3, (17, 14, 32)), repeats=2)
    assert len(seconds) == len(planned.layers)
    assert min(seconds) > 0
    head, *lines = planned.describe().splitlines()
    assert head.split()[-2:] == ["ms", "share"]
    assert lines[-1] == f"a batch of 3 takes {1e3 * sum(seconds):.3f} ms"
    shares = [float(line.split()[-1].rstrip("%")) for line in lines[: len(seconds)]]
    assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))
    assert planned.another().describe() == before, "it was not measured"


def test_the_answer_is_the_callers() -> None:
    module = trained(Sequential([Linear(3)]), (4,))
    planned = plan(module, (4,), max_batch=2)
    first = planned(images(2, (4,)))
    kept = first.copy()
    planned(-images(2, (4,)))
    assert np.array_equal(first, kept)


def test_an_input_may_lie_anyhow_in_memory() -> None:
    module = trained(Sequential([Conv2d(4, 3), ReLU()]), (6, 5, 3))
    x = images(2, (3, 6, 5)).transpose(0, 2, 3, 1)
    agree(plan(module, (6, 5, 3), max_batch=2), module, x)


def test_plans_of_one_network_run_side_by_side() -> None:
    make, shape = MODULES["convnet"]
    module = trained(make(), shape)
    first = plan(module, shape, max_batch=3)
    batches = [images(3, shape) * (i + 1) for i in range(4)]
    wanted = [first(x) for x in batches]
    plans = [first, first.another(), first.another(), first.another().another()]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            got = list(pool.map(lambda pair: pair[0](pair[1]), zip(plans, batches, strict=True)))
            assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((1, 4, 4, 2)), DTypeError, "the plan is in float32, got float64"),
        (np.zeros((0, 4, 4, 2), np.float32), ShapeError, "a batch of 1 to 3 × 4×4×2"),
        (np.zeros((4, 4, 4, 2), np.float32), ShapeError, "got an array of 4×4×4×2"),
        (np.zeros((4, 4, 2), np.float32), ShapeError, "got an array of 4×4×2"),
    ],
)
def test_a_plan_says_what_it_takes(x: Array, error: type[CoreError], words: str) -> None:
    planned = plan(trained(Conv2d(1, 3), (4, 4, 2)), (4, 4, 2), max_batch=3)
    with pytest.raises(error, match=words):
        planned(x)


def test_only_a_built_network_of_that_shape_is_planned() -> None:
    with pytest.raises(StateError, match="call build"):
        plan(Conv2d(1, 3), (4, 4, 2), max_batch=1)
    module = trained(Conv2d(1, 3), (4, 4, 2))
    with pytest.raises(ShapeError, match="built for 4×4×2, not 5×4×2"):
        plan(module, (5, 4, 2), max_batch=1)
    with pytest.raises(ShapeError, match="max_batch must be ≥ 1, got 0"):
        plan(module, (4, 4, 2), max_batch=0)
