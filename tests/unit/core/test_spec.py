"""Networks described by JSON: what is read, and what each mistake is told."""

import json
from typing import Any

import pytest
from convnest_core import (
    ShapeError,
    SpecError,
    layer_kinds,
    network,
    networks,
    normalise,
    shapes_only,
)

FULL: dict[str, Any] = {
    "layers": [
        {"conv": {"filters": 4.0, "kernel": [3, 3], "padding": [1, 1]}},
        "batch_norm",
        "relu",
        {"sum": [[], [{"conv": {"filters": 4, "kernel": [1, 3], "padding": [0, 1]}}, "tanh"]]},
        {"concat": [["sigmoid"], [{"avg_pool": {"size": 3, "stride": 1, "padding": 1}}]]},
        "max_pool",
        "flatten",
        {"dropout": {"rate": 0}},
        {"linear": {"features": 3}},
    ]
}


EVERY_KIND: dict[str, Any] = {
    "layers": [
        {"conv": {"filters": 8, "kernel": 3, "padding": 2, "dilation": 2, "start": 0.01}},
        "lrn",
        {"leaky_relu": {"slope": 0.2}},
        {"conv": {"filters": 8, "kernel": 3, "groups": 4, "start": "truncated", "bias_start": 1}},
        {"elu": {"alpha": 2}},
        {"max_pool": {"size": 3, "stride": 2, "ceil": True}},
        "gelu",
        "silu",
        {"spatial_dropout": {"rate": 0.25}},
        "maxout",
        "upsample",
        {"avg_pool": {"size": 2, "ceil": True, "count_padding": False}},
        {"adaptive_avg_pool": {"size": [2, 3]}},
        {"sum": [["softmax"], ["batch_norm", "sigmoid"]]},
        {"concat": [["tanh"], ["relu", "dropout"]]},
        "global_avg_pool",
        {"linear": {"features": 4, "start": "he_out"}},
        "flatten",
        {"linear": {"features": 3, "start": "xavier", "bias_start": -0.5}},
    ]
}


def test_every_kind_of_layer_can_be_listed() -> None:
    def kinds(layers: list[Any]) -> set[str]:
        found: set[str] = set()
        for layer in layers:
            name = layer if isinstance(layer, str) else next(iter(layer))
            found.add(name)
            if name in ("sum", "concat"):
                found |= set().union(*(kinds(branch) for branch in layer[name]))
        return found

    assert kinds(EVERY_KIND["layers"]) == {*layer_kinds(), "sum", "concat"}
    assert shapes_only(network(EVERY_KIND, classes=3), (11, 12, 2)) == (3,)


def test_a_list_of_layers_is_a_network_and_its_names_are_its_paths() -> None:
    module = network(FULL, classes=3)
    assert shapes_only(module, (8, 8, 1)) == (3,)
    kinds = {path: inner.kind for path, inner in module.modules()}
    assert kinds["layers.3.1.0"] == "conv"
    assert kinds["layers.8"] == "linear"


@pytest.mark.parametrize("spec", [FULL, EVERY_KIND, *({"name": name} for name in networks())])
def test_the_normal_form_is_json_with_every_default_and_stays_itself(spec: dict[str, Any]) -> None:
    normal = normalise(spec, classes=3)
    assert json.loads(json.dumps(normal)) == normal
    assert normalise(normal, classes=3) == normal
    network(normal, classes=3)


def test_defaults_are_filled_in() -> None:
    layers: Any = normalise(FULL, classes=3)["layers"]
    assert layers[0] == {
        "conv": {
            "filters": 4,
            "kernel": 3,
            "stride": 1,
            "padding": 1,
            "dilation": 1,
            "groups": 1,
            "bias": True,
            "start": "he",
            "bias_start": 0.0,
        }
    }
    assert layers[5] == {"max_pool": {"size": 2, "stride": 2, "padding": 0, "ceil": False}}
    assert layers[3]["sum"][1][0]["conv"]["kernel"] == [1, 3]
    assert normalise({"name": "lenet"}, classes=3) == {
        "name": "lenet",
        "options": {"activation": "relu", "pooling": "max", "padding": 2},
    }


def _layer(layer: object) -> dict[str, Any]:
    return {"layers": ["relu", layer, "flatten", {"linear": {"features": 3}}]}


def _conv(**options: object) -> dict[str, Any]:
    return _layer({"conv": {"filters": 2, "kernel": 3, **options}})


def _deep(levels: int) -> list[Any]:
    return [{"sum": [_deep(levels - 1)]}] if levels else ["relu"]


MISTAKES: dict[str, tuple[Any, str, str]] = {
    "not an object": ([], "", "a network is an object, got list"),
    "nothing": ({}, "", 'either a "name" or a list of "layers"'),
    "both": ({"name": "mlp", "layers": []}, "", 'either a "name" or a list of "layers"'),
    "unknown key": ({"name": "mlp", "option": {}}, "option", "did you mean 'options'?"),
    "options beside layers": ({"layers": ["relu"], "options": {}}, "options", "allowed: layers"),
    "unknown network": ({"name": "lenett"}, "name", "did you mean 'lenet'?"),
    "network of another type": ({"name": 5}, "name", "unknown network '5'"),
    "unknown option": (
        {"name": "mlp", "options": {"hiden": []}},
        "options.hiden",
        "options: unknown option 'hiden'; did you mean 'hidden'?",
    ),
    "option of another type": (
        {"name": "mlp", "options": {"hidden": 5}},
        "options.hidden",
        "options: hidden must be a list of integers, got 5",
    ),
    "options of another type": ({"name": "mlp", "options": []}, "options", "must be an object"),
    "unknown choice": (
        {"name": "lenet", "options": {"activation": "rellu"}},
        "options.activation",
        "one of relu, tanh, sigmoid, leaky_relu, elu, gelu, silu; got 'rellu'; did you mean",
    ),
    "too many filters": (
        {"name": "convnet", "options": {"filters": 4096, "m": 3}},
        "options.filters",
        "options: filters must be ≤ 2048 for 3 stages, got 4096",
    ),
    "even kernel": (
        {"name": "convnet", "options": {"kernel": 4}},
        "options.kernel",
        "kernel must be odd, got 4",
    ),
    "no layers": ({"layers": []}, "layers", "layers: must be a list of one or more layers"),
    "layers of another type": ({"layers": {"relu": {}}}, "layers", "must be a list"),
    "unknown layer": (_layer("rellu"), "layers.1", "layers.1: unknown layer 'rellu'; did you mean"),
    "layer with two names": (_layer({"relu": {}, "tanh": {}}), "layers.1", "one key, its name"),
    "layer that is a number": (_layer(5), "layers.1", "a layer is a name or an object"),
    "option of none": (_layer({"relu": {"x": 1}}), "layers.1.relu.x", "takes no options, got 'x'"),
    "missing option": (
        _layer({"conv": {"filters": 3}}),
        "layers.1.conv.kernel",
        "layers.1.conv: kernel is missing (size, or [height, width])",
    ),
    "zero stride": (
        _conv(stride=0),
        "layers.1.conv.stride",
        "layers.1.conv: stride must be ≥ 1, got 0",
    ),
    "groups that do not fit": (
        _conv(groups=3),
        "layers.1.conv.groups",
        "layers.1.conv: groups must divide filters, got 3 and 2",
    ),
    "an unknown start": (
        _conv(start="hee"),
        "layers.1.conv.start",
        "start must be one of he, he_out, xavier, truncated; got 'hee'; did you mean 'he'?",
    ),
    "a negative deviation": (_conv(start=-1), "layers.1.conv.start", "start must be ≥ 0"),
    "true for a deviation": (_conv(start=True), "layers.1.conv.start", "must be a number"),
    "no dilation": (_conv(dilation=0), "layers.1.conv.dilation", "must be ≥ 1, got 0"),
    "one piece": (_layer({"maxout": {"pieces": 1}}), "layers.1.maxout.pieces", "must be ≥ 2"),
    "nothing to divide by": (_layer({"lrn": {"k": 0}}), "layers.1.lrn.k", "k must be > 0"),
    "a flat elu": (_layer({"elu": {"alpha": 0}}), "layers.1.elu.alpha", "must be > 0"),
    "no size": (_layer("adaptive_avg_pool"), "layers.1.adaptive_avg_pool.size", "is missing"),
    "half a stride": (_conv(stride=1.5), "layers.1.conv.stride", "must be an integer, got 1.5"),
    "a stride in words": (_conv(stride="1"), "layers.1.conv.stride", "an integer, got '1'"),
    "true for one": (_conv(stride=True), "layers.1.conv.stride", "must be an integer, got True"),
    "not a number": (_conv(stride=float("nan")), "layers.1.conv.stride", "an integer, got nan"),
    "infinity": (_conv(stride=float("inf")), "layers.1.conv.stride", "an integer, got inf"),
    "huge kernel": (_conv(kernel=[3, 65]), "layers.1.conv.kernel", "must be ≤ 64, got 65"),
    "three sizes": (_conv(kernel=[1, 2, 3]), "layers.1.conv.kernel", "one integer or [height,"),
    "huge integer": (_conv(filters=10**5000), "layers.1.conv.filters", "must be ≤ 8192"),
    "one for true": (_conv(bias=1), "layers.1.conv.bias", "must be true or false, got 1"),
    "dropping all": (
        _layer({"dropout": {"rate": 1}}),
        "layers.1.dropout.rate",
        "rate must be ≥ 0 and < 1, got 1",
    ),
    "pool padding": (
        _layer({"max_pool": {"size": 2, "padding": 2}}),
        "layers.1.max_pool.padding",
        "layers.1.max_pool: padding must be at most half the size",
    ),
    "within a branch": (
        _layer({"sum": [[], ["relu", {"conv": {"filters": 3, "kernel": 0}}]]}),
        "layers.1.sum.1.1.conv.kernel",
        "layers.1.sum.1.1.conv: kernel must be ≥ 1, got 0",
    ),
    "no branches": (_layer({"concat": []}), "layers.1.concat", "a list of branches"),
    "branch of another type": (_layer({"concat": ["relu"]}), "layers.1.concat.0", "must be a list"),
    "too many layers": ({"layers": ["relu"] * 2001}, "layers", "at most 2000 layers"),
    "too many layers in branches": (
        {"layers": [{"sum": [["relu"] * 700, ["relu"] * 700, ["relu"] * 700]}]},
        "layers.0.sum.2",
        "at most 2000 layers",
    ),
    "too deep": ({"layers": _deep(20)}, "layers" + ".0.sum.0" * 9, "nested deeper than 8"),
    "another number of classes": (
        {"layers": ["flatten", {"linear": {"features": 5}}]},
        "layers.1.linear.features",
        "layers.1.linear: features must be 3, the number of classes, in the last layer; got 5",
    ),
}


@pytest.mark.parametrize(("spec", "path", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_names_its_path_the_value_and_what_is_allowed(
    spec: Any, path: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        network(spec, classes=3)
    assert caught.value.path == path
    assert message in str(caught.value)
    with pytest.raises(SpecError) as normalised:
        normalise(spec, classes=3)
    assert str(normalised.value) == str(caught.value)


def test_layers_that_end_in_no_logits_are_refused_when_their_shape_is_known() -> None:
    module = network({"layers": [{"conv": {"filters": 3, "kernel": 3}}]}, classes=3)
    with pytest.raises(
        ShapeError, match="the last layer must give 3 values, one a class; it gives"
    ):
        shapes_only(module, (8, 8, 1))


@pytest.mark.parametrize("classes", [0, 1, 70_000, "3", True])
def test_the_number_of_classes_is_bounded(classes: Any) -> None:
    with pytest.raises(SpecError) as caught:
        network({"name": "mlp"}, classes=classes)
    assert caught.value.path == "classes"


def test_every_option_tells_what_it_is() -> None:
    for kind in (*networks().values(), *layer_kinds().values()):
        assert kind.doc
        assert all(option.doc for option in kind.options)
    assert [option.name for option in networks()["convnet"].options][:3] == ["n", "m", "k"]
