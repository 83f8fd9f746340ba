"""Three steps of training follow PyTorch's losses to 1e-4."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    SGD,
    Array,
    Dropout,
    Initialiser,
    Integers,
    Module,
    Run,
    network,
    softmax_cross_entropy,
    zero_grad,
)

from peers import torch_networks as peers
from peers.pytorch import arrays, built, filled, to_torch, torch
from peers.torch_googlenet import GoogLeNet

CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Any], tuple[int, ...], str]] = {
    "lenet": ("lenet", {}, peers.lenet, (16, 28, 28, 1), "float32"),
    "resnet20": (
        "resnet20",
        {},
        lambda: peers.cifar_resnet(20, shortcut="A"),
        (16, 32, 32, 3),
        "float32",
    ),
    "alexnet": (
        "alexnet",
        {"dropout": 0.0},
        lambda: peers.course_alexnet(dropout=0.0),
        (4, 227, 227, 3),
        "float32",
    ),
    "googlenet with its heads": (
        "googlenet",
        {"variant": "torchvision", "dropout": 0.0},
        lambda: GoogLeNet(norm=True, heads=True),
        (4, 64, 64, 3),
        "float64",  # BatchNorm over so few values makes much of float32's rounding
    ),
}


@pytest.mark.parametrize(("name", "options", "peer", "shape", "dtype"), CASES.values(), ids=CASES)
def test_three_steps_of_training_follow_pytorchs_losses(
    name: str,
    options: dict[str, Any],
    peer: Callable[[], Any],
    shape: tuple[int, ...],
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setattr(
        Initialiser, "normal", lambda _, name, shape, *, start, dtype: np.zeros(shape, dtype)
    )
    with torch.device("meta"):
        theirs = peer()
    theirs = theirs.to(getattr(torch, dtype)).to_empty(device="cpu")
    theirs = filled(theirs, seed=1).train()
    classes = 1000 if name in ("alexnet", "googlenet") else 10
    module = network({"name": name, "options": options}, classes=classes)
    for _, inner in module.modules():
        if isinstance(inner, Dropout):  # also within the auxiliary heads
            inner.rate = 0.0
    built(module, shape[1:], arrays(theirs), dtype=dtype)
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape).astype(dtype)
    labels = rng.integers(0, classes, len(x))
    losses, expected = _ours(module, x, labels), _theirs(theirs, x, labels)
    assert expected[-1] != expected[0]
    record_property(
        "difference", max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True))
    )
    assert losses == pytest.approx(expected, rel=1e-4)


def _ours(module: Module, x: Array, labels: Integers) -> list[float]:
    optimizer = SGD(module.parameters(), learning_rate=1e-3, momentum=0.9)
    losses = []
    for _ in range(3):
        zero_grad(module)
        run = Run(
            training=True,
            samples=np.arange(len(x)),
            input_gradient=False,
            criterion=lambda logits: softmax_cross_entropy(logits, labels),
        )
        logits, backward = module.forward(x, run)
        loss, dlogits = softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
        losses.append(loss)
    return losses


def _theirs(module: Any, x: Array, labels: Integers) -> list[float]:
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    loss_of = torch.nn.functional.cross_entropy
    losses, wanted = [], torch.from_numpy(labels)
    for _ in range(3):
        optimizer.zero_grad()
        output = module(to_torch(x))
        logits, *heads = output if isinstance(output, tuple) else (output,)
        loss = loss_of(logits, wanted)
        losses.append(loss.item())
        (loss + sum(0.3 * loss_of(head, wanted) for head in heads)).backward()
        optimizer.step()
    return losses
