"""The logits of each network, with PyTorch's weights loaded strictly, to 1e-4 of the largest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import Initialiser, network

from peers import torch_networks as peers
from peers.pytorch import arrays, built, difference, filled, from_torch, to_torch, torch
from peers.torch_googlenet import GoogLeNet

VGG = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
RESNET = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def _vgg(depth: int, batch_norm: bool) -> Callable[[], Any]:
    return lambda: peers.vgg(VGG[depth], batch_norm=batch_norm)


def _resnet(depth: int, stride_in: str = "3x3") -> Callable[[], Any]:
    blocks, bottleneck = RESNET[depth]
    return lambda: peers.resnet(blocks, bottleneck=bottleneck, stride_in=stride_in)


def _cifar(depth: int, shortcut: str) -> Callable[[], Any]:
    return lambda: peers.cifar_resnet(depth, shortcut=shortcut)


# Our name and options, the peer, the size of the images.
CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Any], int]] = {
    "lenet": ("lenet", {}, peers.lenet, 28),
    "alexnet of the course": ("alexnet", {}, peers.course_alexnet, 227),
    "alexnet in groups": (
        "alexnet",
        {"groups": 2},
        lambda: peers.course_alexnet(groups=2),
        227,
    ),
    "alexnet of torchvision": (
        "alexnet",
        {"variant": "torchvision"},
        peers.torchvision_alexnet,
        224,
    ),
    "zfnet": ("zfnet", {}, peers.zfnet, 224),
    "googlenet of the paper": (
        "googlenet",
        {},
        lambda: GoogLeNet(norm=False, heads=True),
        224,
    ),
    "googlenet of torchvision": (
        "googlenet",
        {"variant": "torchvision"},
        lambda: GoogLeNet(norm=True, heads=True),
        224,
    ),
    "googlenet of torchvision without heads": (
        "googlenet",
        {"variant": "torchvision", "auxiliary": False},
        lambda: GoogLeNet(norm=True, heads=False),
        97,
    ),
    **{
        f"vgg{depth}{' normalised' if norm else ''}": (
            f"vgg{depth}",
            {"batch_norm": norm},
            _vgg(depth, norm),
            224 if depth == 16 else 64,
        )
        for depth, norm in ((11, False), (13, True), (16, False), (19, True))
    },
    **{f"resnet{depth}": (f"resnet{depth}", {}, _resnet(depth), 224) for depth in RESNET},
    "resnet50 of the paper": (
        "resnet50",
        {"stride_in": "1x1"},
        _resnet(50, "1x1"),
        97,
    ),
    **{
        f"resnet{depth} {shortcut}": (
            f"resnet{depth}",
            {"shortcut": shortcut},
            _cifar(depth, shortcut),
            32,
        )
        for depth, shortcut in ((20, "A"), (20, "B"), (56, "A"), (110, "A"))
    },
    "plain20": ("plain20", {}, _cifar(20, "none"), 32),
    "plain56": ("plain56", {}, _cifar(56, "none"), 32),
}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are built without the random weights that would be replaced at once."""

    def zeros(_: Initialiser, name: str, shape: Any, *, start: Any, dtype: Any) -> Any:
        return np.zeros(shape, dtype)

    monkeypatch.setattr(Initialiser, "normal", zeros)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("name", "options", "peer", "size"), CASES.values(), ids=CASES)
def test_a_network_gives_pytorchs_logits(
    name: str,
    options: dict[str, Any],
    peer: Callable[[], Any],
    size: int,
    record_property: Callable[[str, object], None],
) -> None:
    with torch.device("meta"):  # the weights come in one go, below
        theirs = peer()
    theirs = _calm(filled(theirs.to_empty(device="cpu"), seed=1)).eval()
    channels, classes = (1, 10) if name == "lenet" else (3, 10 if size == 32 else 1000)
    shape = size, size, channels
    module = built(
        network({"name": name, "options": options}, classes=classes), shape, arrays(theirs)
    )
    x = np.random.default_rng(2).standard_normal((1 if size > 100 else 2, *shape))
    x = x.astype(np.float32)
    with torch.no_grad():
        expected = from_torch(theirs(to_torch(x)))
    error = difference(module(x), expected)
    record_property("difference", error)
    assert np.abs(expected).max() > 1e-3
    assert error <= 1e-4


def _calm(module: Any) -> Any:
    """Residual branches that add little to what they are given, so that depth does not explode."""
    names = {name.rpartition(".")[2] for name, _ in module.named_modules()}
    last = "bn3" if "bn3" in names else "bn2"
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(f"{last}.weight"):
                parameter.mul_(0.3)
    return module
