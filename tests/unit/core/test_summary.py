"""What the summary says of networks whose numbers are published."""

import json
import subprocess
import sys

import pytest
from convnest_core import (
    AdaptiveAvgPool,
    Auxiliary,
    AvgPool,
    Concat,
    Conv2d,
    Flatten,
    Linear,
    MaxPool,
    Module,
    ReLU,
    Sequential,
    Subsample,
    Sum,
    Upsample,
    build,
    network,
    summarise,
)


def vgg16() -> Sequential:
    """By hand: what is checked here is the summary."""
    modules: list[Module] = []
    for convolutions, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(convolutions):
            modules += [Conv2d(filters, 3, padding=1), ReLU()]
        modules.append(MaxPool(2))
    modules += [Flatten(), Linear(4096), ReLU(), Linear(4096), ReLU(), Linear(1000)]
    return Sequential(modules)


def test_a_summary_lists_each_layer_and_needs_no_weights() -> None:
    module = network({"name": "lenet"}, classes=10)
    summary = summarise(module, (28, 28, 1))
    assert module.parameters() == {}
    assert [(row.path, row.kind, row.shape, row.parameters) for row in summary.rows[:4]] == [
        ("conv1", "conv", (28, 28, 6), 156),
        ("act1", "relu", (28, 28, 6), 0),
        ("pool1", "max_pool", (14, 14, 6), 0),
        ("conv2", "conv", (10, 10, 16), 2_416),
    ]
    assert summary.output_shape == (10,)
    assert summary.parameters == 61_706


def test_the_courses_table_of_vgg16() -> None:
    summary = summarise(vgg16(), (224, 224, 3))
    assert summary.parameters == 138_357_544
    # 150,528 values of the input, 13,547,520 of convolutions, 1,530,368 of pools, 9,192 behind.
    assert summary.activation_bytes == 4 * 15_237_608
    assert round(summary.activation_bytes / 1e6) == 61
    assert summary.multiply_adds == 15_470_264_320
    rows = [row for row in summary.rows if row.kind != "relu"]
    # The course's lines: values of memory, weights without biases.
    assert [(row.activation_bytes // 4, row.parameters) for row in rows[:3]] == [
        (3_211_264, 3 * 3 * 3 * 64 + 64),
        (3_211_264, 3 * 3 * 64 * 64 + 64),
        (802_816, 0),
    ]
    last_pool = next(row for row in reversed(rows) if row.kind == "max_pool")
    assert (last_pool.receptive_field, last_pool.stride) == ((212, 212), (32, 32))
    assert rows[-1].receptive_field is None


def test_the_named_vgg16_has_the_same_sums() -> None:
    named = summarise(network({"name": "vgg16"}, classes=1000), (224, 224, 3))
    by_hand = summarise(vgg16(), (224, 224, 3))
    for sums in ("parameters", "activation_bytes", "multiply_adds"):
        assert getattr(named, sums) == getattr(by_hand, sums)


def test_multiply_adds_count_each_weight_of_a_filter_at_each_pixel() -> None:
    (conv,) = summarise(Conv2d(96, 11, stride=4), (227, 227, 3)).rows
    assert conv.shape == (55, 55, 96)
    assert conv.multiply_adds == 55 * 55 * 96 * 363
    assert conv.parameters == 96 * 363 + 96


def test_branches_look_as_far_as_the_farthest_of_them() -> None:
    inception = Concat([Conv2d(2, 1), Conv2d(2, 5, padding=2), Conv2d(2, 3, padding=1)])
    residual = Sum([Sequential([]), Sequential([Conv2d(6, 3, padding=1), ReLU()])])
    module = Sequential([MaxPool(2), inception, residual, Conv2d(1, 3, stride=(2, 1))])
    rows = summarise(module, (20, 20, 3)).rows
    assert [(row.receptive_field, row.stride) for row in rows] == [
        ((2, 2), (2, 2)),
        ((2, 2), (2, 2)),
        ((10, 10), (2, 2)),
        ((6, 6), (2, 2)),
        ((14, 14), (2, 2)),
        ((14, 14), (2, 2)),
        ((18, 18), (4, 2)),
    ]


def test_heads_look_on_and_resizing_moves_the_view() -> None:
    head = Auxiliary(Sequential([Conv2d(1, 3), Flatten(), Linear(2)]))
    subsampled = Sequential([Subsample(2, stride=2), head, Conv2d(2, 3, dilation=2)])
    rows = summarise(Sequential([subsampled, AdaptiveAvgPool(2), Upsample(2)]), (16, 16, 2)).rows
    assert [(row.kind, row.receptive_field, row.stride) for row in rows] == [
        ("subsample", (1, 1), (2, 2)),
        ("conv", (5, 5), (2, 2)),
        ("flatten", None, None),
        ("linear", None, None),
        ("conv", (9, 9), (2, 2)),
        ("adaptive_avg_pool", (11, 11), (4, 4)),
        ("upsample", (11, 11), (2, 2)),
    ]


def test_a_layer_used_twice_works_twice_and_has_its_parameters_once() -> None:
    layer = Conv2d(2, 3, padding=1)
    module = Sequential([layer, ReLU(), layer])
    summary = summarise(module, (6, 6, 2))
    build(module, (6, 6, 2), seed=0)
    assert summary.parameters == sum(p.value.size for p in module.parameters().values())
    assert summary.multiply_adds == 2 * 36 * 36
    assert summary.rows[-1].receptive_field == (5, 5)


def test_a_trained_network_is_summarised_and_left_alone() -> None:
    module = Sequential([Conv2d(2, 3), AvgPool(2)])
    build(module, (6, 6, 1), seed=0)
    weight = module.parameters()["0.weight"].value
    assert summarise(module, (10, 10, 1)).rows[-1].shape == (4, 4, 2)
    assert module.parameters()["0.weight"].value is weight
    assert module.built is not None
    assert module.built.input_shape == (6, 6, 1)


def test_the_text_has_a_line_a_layer_and_the_totals() -> None:
    lines = summarise(network({"name": "lenet"}, classes=10), (28, 28, 1)).text().splitlines()
    assert lines[2].split() == [
        "conv1",
        "conv",
        "28×28×6",
        "156",
        "18,816",
        "117,600",
        "5×5",
        "1×1",
    ]
    assert lines[-2].split() == ["total", "61,706", "35,512", "416,520"]
    assert lines[-1].startswith("0.1 M parameters, 0.0 MB of activations an image, 0.4 M multiply")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "convnest_core.summary", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_summary_is_a_command() -> None:
    printed = command("lenet", "--shape", "28x28x1", "--classes", "10")
    assert "61,706" in printed.stdout
    refused = command("lenett")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: unknown network 'lenett'; did you mean 'lenet'?")


@pytest.mark.parametrize("shape", [[], ["--shape", "28x28x1"]])
def test_the_command_tells_data_for_programs(shape: list[str]) -> None:
    told = json.loads(command("lenet", "--json", *shape).stdout)
    assert told["parameters"] == 61_706
    assert told["rows"][0]["receptive_field"] == [5, 5]
