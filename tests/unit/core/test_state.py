"""Stored weights: names and layouts others know, and care on the way in."""

import numpy as np
import pytest
from convnest_core import BatchNorm, Conv2d, Flatten, Linear, Sequential, StateError, build


def small() -> Sequential:
    module = Sequential(
        {"conv": Conv2d(4, (3, 2)), "norm": BatchNorm(), "flatten": Flatten(), "fc": Linear(5)}
    )
    build(module, (6, 5, 3), seed=0)
    return module


def test_names_and_layouts_are_those_of_torchvision() -> None:
    shapes = {name: array.shape for name, array in small().state().items()}
    assert shapes == {
        "conv.weight": (4, 3, 3, 2),
        "conv.bias": (4,),
        "norm.weight": (4,),
        "norm.bias": (4,),
        "norm.running_mean": (4,),
        "norm.running_var": (4,),
        "fc.weight": (5, 64),
        "fc.bias": (5,),
    }


def test_weights_mean_what_they_mean_to_a_channels_first_library() -> None:
    module = small()
    state = module.state()
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 3)).astype(np.float32)
    planes = x.transpose(0, 3, 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(planes, (3, 2), axis=(2, 3))
    y = np.einsum("ncijuv,ocuv->noij", windows, state["conv.weight"])
    y += state["conv.bias"][:, None, None]
    y /= np.sqrt(1 + 1e-5)
    expected = y.reshape(2, -1) @ state["fc.weight"].T + state["fc.bias"]
    np.testing.assert_allclose(module(x), expected, rtol=1e-4, atol=1e-5)


def test_a_state_is_a_copy() -> None:
    module = small()
    module.state()["conv.weight"][...] = 7
    assert not (module.state()["conv.weight"] == 7).any()


def test_every_difference_is_named_and_nothing_is_taken() -> None:
    module = small()
    before, state = module.state(), module.state()
    del state["conv.bias"]
    state["extra"] = np.zeros(3, np.float32)
    state["fc.weight"] = state["fc.weight"].T
    state["fc.bias"] = state["fc.bias"].astype(np.float64)
    state["norm.bias"] = np.full(4, np.nan, np.float32)
    state["norm.running_var"] = np.full(4, -np.inf, np.float32)
    state["conv.weight"] += 1
    with pytest.raises(StateError) as caught:
        module.load_state(state)
    assert caught.value.missing == ("conv.bias",)
    assert caught.value.unexpected == ("extra",)
    assert caught.value.mismatching == (
        "norm.bias (holds NaN or infinity)",
        "norm.running_var (holds NaN or infinity)",
        "fc.weight (shape 64×5, not 5×64)",
        "fc.bias (float64, not float32)",
    )
    assert all(word in str(caught.value) for word in ("missing conv.bias", "unexpected extra"))
    for name, array in module.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_pytorchs_batch_counters_are_passed_over() -> None:
    module = small()
    state = {**module.state(), "norm.num_batches_tracked": np.array(12)}
    module.load_state(state)
    assert "norm.num_batches_tracked" not in module.state()
