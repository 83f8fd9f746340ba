"""Every layer forward and backward as PyTorch has it, in float32, to 1e-5 of the largest value.

Winograd's algorithm rounds more coarsely than a plain sum: convolutions that generated kernels
compute by it are held to 2e-5.
"""

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
    Conv2d,
    CoreError,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Module,
    ReLU,
    Run,
    Shape,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    Upsample,
    kernels,
    shapes_only,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from peers.pytorch import arrays, built, difference, filled, gradients, torch, torch_gradients

nn = torch.nn
Case = tuple[Callable[[], Module], Callable[[], Any], Shape, int]

CASES: dict[str, Case] = {
    "conv": (lambda: Conv2d(8, 3), lambda: nn.Conv2d(5, 8, 3), (9, 7, 5), 2),
    "conv of one image and channel": (
        lambda: Conv2d(8, 5, padding=2),
        lambda: nn.Conv2d(1, 8, 5, padding=2),
        (9, 7, 1),
        1,
    ),
    "conv of AlexNet": (
        lambda: Conv2d(16, 11, stride=4),
        lambda: nn.Conv2d(3, 16, 11, stride=4),
        (67, 67, 3),
        2,
    ),
    "conv, stride above kernel": (
        lambda: Conv2d(4, 2, stride=3),
        lambda: nn.Conv2d(6, 4, 2, stride=3),
        (11, 10, 6),
        2,
    ),
    "conv oblong": (
        lambda: Conv2d(4, (3, 2), stride=(1, 2), padding=(2, 0)),
        lambda: nn.Conv2d(6, 4, (3, 2), stride=(1, 2), padding=(2, 0)),
        (8, 9, 6),
        2,
    ),
    "conv in groups": (
        lambda: Conv2d(6, 3, padding=1, groups=2, bias=False),
        lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
        (8, 9, 4),
        3,
    ),
    "conv by channel": (
        lambda: Conv2d(32, 3, padding=1, groups=32),
        lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32),
        (8, 9, 32),
        2,
    ),
    "conv dilated": (
        lambda: Conv2d(6, 3, padding=2, dilation=2),
        lambda: nn.Conv2d(20, 6, 3, padding=2, dilation=2),
        (8, 9, 20),
        2,
    ),
    "conv of many channels": (
        lambda: Conv2d(64, 3, padding=1),
        lambda: nn.Conv2d(256, 64, 3, padding=1),
        (14, 14, 256),
        2,
    ),
    "linear": (lambda: Linear(7), lambda: nn.Linear(300, 7), (300,), 5),
    "flatten": (lambda: Flatten(), lambda: nn.Flatten(), (4, 5, 3), 2),
    "max pool": (lambda: MaxPool(2), lambda: nn.MaxPool2d(2), (7, 6, 3), 2),
    "max pool overlapping": (
        lambda: MaxPool(3, stride=2, padding=1),
        lambda: nn.MaxPool2d(3, 2, 1),
        (8, 9, 3),
        2,
    ),
    "max pool over the edge": (
        lambda: MaxPool(3, stride=2, ceil=True),
        lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
        (8, 10, 3),
        2,
    ),
    "avg pool": (lambda: AvgPool(2), lambda: nn.AvgPool2d(2), (7, 6, 3), 2),
    "avg pool padded, over the edge": (
        lambda: AvgPool(3, stride=2, padding=1, ceil=True),
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        (8, 10, 3),
        2,
    ),
    "avg pool of what is there": (
        lambda: AvgPool(3, stride=2, padding=1, ceil=True, count_padding=False),
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        (8, 10, 3),
        2,
    ),
    "global avg pool": (
        lambda: GlobalAvgPool(),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (7, 6, 3),
        2,
    ),
    "adaptive avg pool": (
        lambda: AdaptiveAvgPool((3, 4)),
        lambda: nn.AdaptiveAvgPool2d((3, 4)),
        (7, 6, 3),
        2,
    ),
    "adaptive avg pool to more": (
        lambda: AdaptiveAvgPool(7),
        lambda: nn.AdaptiveAvgPool2d(7),
        (2, 3, 3),
        2,
    ),
    "upsample": (
        lambda: Upsample((2, 3)),
        lambda: nn.Upsample(scale_factor=(2, 3)),
        (4, 5, 3),
        2,
    ),
    "batch norm of images": (lambda: BatchNorm(), lambda: nn.BatchNorm2d(5), (6, 7, 5), 4),
    "batch norm of vectors": (
        lambda: BatchNorm(momentum=0.3, epsilon=1e-3),
        lambda: nn.BatchNorm1d(5, momentum=0.3, eps=1e-3),
        (5,),
        9,
    ),
    "local response norm": (
        lambda: LocalResponseNorm(5, alpha=0.5, k=2),
        lambda: nn.LocalResponseNorm(5, alpha=0.5, k=2),
        (5, 6, 16),
        2,
    ),
    "local response norm, even": (
        lambda: LocalResponseNorm(4, alpha=0.7, beta=0.6),
        lambda: nn.LocalResponseNorm(4, alpha=0.7, beta=0.6),
        (5, 6, 7),
        2,
    ),
    "relu": (lambda: ReLU(), lambda: nn.ReLU(), (5, 6, 7), 2),
    "leaky relu": (lambda: LeakyReLU(0.2), lambda: nn.LeakyReLU(0.2), (5, 6, 7), 2),
    "elu": (lambda: ELU(0.7), lambda: nn.ELU(0.7), (5, 6, 7), 2),
    "gelu": (lambda: GELU(), lambda: nn.GELU(), (5, 6, 7), 2),
    "silu": (lambda: SiLU(), lambda: nn.SiLU(), (5, 6, 7), 2),
    "sigmoid": (lambda: Sigmoid(), lambda: nn.Sigmoid(), (5, 6, 7), 2),
    "tanh": (lambda: Tanh(), lambda: nn.Tanh(), (5, 6, 7), 2),
    "softmax": (lambda: Softmax(), lambda: nn.Softmax(dim=1), (9,), 4),
    "softmax of each pixel": (lambda: Softmax(), lambda: nn.Softmax(dim=1), (5, 6, 7), 2),
}


def compare(
    ours: Module, theirs: Any, shape: Shape, *, batch: int, training: bool, least: float = 1e-30
) -> float:
    """The largest difference of outputs, of all gradients, and of the state afterwards."""
    theirs = filled(theirs, seed=1).train(training)
    built(ours, shape, arrays(theirs))
    rng = np.random.default_rng(2)
    x = rng.standard_normal((batch, *shape)).astype(np.float32)
    output = shapes_only(ours, shape)
    dy = rng.standard_normal((batch, *output)).astype(np.float32)
    run = Run(training=True, samples=np.arange(batch)) if training else EVALUATION
    y, found = gradients(ours, x, dy, run)
    expected, wanted = torch_gradients(theirs, x, dy)
    assert found.keys() == wanted.keys()
    state = arrays(theirs)
    after = [difference(array, state[name]) for name, array in ours.state().items()]
    return max(
        difference(y, expected, least=least),
        *(difference(found[n], wanted[n], least=least) for n in found),
        *after,
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_what_pytorchs_computes(
    name: str, training: bool, record_property: Callable[[str, object], None]
) -> None:
    make, peer, shape, batch = CASES[name]
    error = compare(make(), peer(), shape, batch=batch, training=training)
    record_property("difference", error)
    is_winograd = name == "conv of many channels" and kernels.kernel_set() == "simd"
    assert error <= (2e-5 if is_winograd else 1e-5)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_convolutions_of_any_geometry(data: st.DataObject) -> None:
    kernel, stride, padding, dilation = (
        (data.draw(st.integers(low, 4)), data.draw(st.integers(low, 4))) for low in (1, 1, 0, 1)
    )
    groups, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    shape = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)), inputs * groups)
    ours = Conv2d(
        outputs * groups, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    _assume_it_fits(ours, shape)
    theirs = nn.Conv2d(inputs * groups, outputs * groups, kernel, stride, padding, dilation, groups)
    batch = data.draw(st.integers(1, 3))
    # Few terms of size one may sum to nearly nothing, and differ by the rounding of one.
    assert compare(ours, theirs, shape, batch=batch, training=True, least=1) <= 1e-5


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pools_of_any_geometry(data: st.DataObject) -> None:
    size, stride = ((data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))) for _ in range(2))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in size)
    ceil, counted = data.draw(st.booleans()), data.draw(st.booleans())
    shape = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)), 3)
    pair = padding[0], padding[1]
    largest = MaxPool(size, stride=stride, padding=pair, ceil=ceil)
    _assume_it_fits(largest, shape)
    peer = nn.MaxPool2d(size, stride, padding, ceil_mode=ceil)
    assert compare(largest, peer, shape, batch=2, training=True, least=1) <= 1e-5
    mean = AvgPool(size, stride=stride, padding=pair, ceil=ceil, count_padding=counted)
    peer = nn.AvgPool2d(size, stride, padding, ceil_mode=ceil, count_include_pad=counted)
    assert compare(mean, peer, shape, batch=2, training=True, least=1) <= 1e-5


def _assume_it_fits(module: Module, shape: Shape) -> None:
    try:
        shapes_only(module, shape)
    except CoreError:
        assume(False)
