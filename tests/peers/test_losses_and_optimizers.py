"""Losses, optimizers and schedules as PyTorch has them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convnest_core import (
    SGD,
    Adam,
    AdamW,
    Array,
    Linear,
    Optimizer,
    Parameter,
    RMSProp,
    build,
    log_likelihood,
    schedules,
    softmax,
    softmax_cross_entropy,
    squared_loss,
)

from peers.pytorch import difference, torch

functional = torch.nn.functional


def logits_and_labels() -> tuple[Array, Any]:
    rng = np.random.default_rng(0)
    logits: Array = rng.standard_normal((6, 5)).astype(np.float32)
    return 3 * logits, rng.integers(0, 5, 6)


WEIGHTS = np.array([0.3, 2.0, 0.0, 1.0, 4.0], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("distributions", [False, True])
def test_cross_entropy(smoothing: float, weights: Any, distributions: bool) -> None:
    logits, labels = logits_and_labels()
    target = softmax(logits[::-1].copy()) if distributions else labels
    loss, dlogits = softmax_cross_entropy(
        logits, target, smoothing=smoothing, class_weights=weights
    )
    given = torch.from_numpy(logits.copy()).requires_grad_()
    expected = functional.cross_entropy(
        given,
        torch.from_numpy(target),
        weight=None if weights is None else torch.from_numpy(weights),
        label_smoothing=smoothing,
    )
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert difference(dlogits, given.grad.numpy()) <= 1e-5


def test_likelihood_and_squares() -> None:
    logits, labels = logits_and_labels()
    probabilities = softmax(logits)
    given = torch.from_numpy(probabilities.copy()).requires_grad_()
    expected = functional.nll_loss(given.log(), torch.from_numpy(labels))
    expected.backward()
    loss, gradient = log_likelihood(probabilities, labels)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert difference(gradient, given.grad.numpy()) <= 1e-5
    other = torch.from_numpy(logits.copy()).requires_grad_()
    expected = functional.mse_loss(other, torch.ones(6, 5), reduction="sum")
    expected.backward()
    loss, gradient = squared_loss(logits, np.ones_like(logits))
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert difference(gradient, other.grad.numpy()) <= 1e-5


Made = Callable[[dict[str, Parameter]], Optimizer]

OPTIMIZERS: dict[str, tuple[Made, str, dict[str, Any]]] = {
    "sgd": (lambda p: SGD(p, learning_rate=0.1), "SGD", {"lr": 0.1}),
    "momentum": (
        lambda p: SGD(p, learning_rate=0.1, momentum=0.9, weight_decay=0.01),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    ),
    "nesterov": (
        lambda p: SGD(p, learning_rate=0.1, momentum=0.9, nesterov=True),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (
        lambda p: Adam(p, learning_rate=0.02, weight_decay=0.01),
        "Adam",
        {"lr": 0.02, "weight_decay": 0.01},
    ),
    "adamw": (
        lambda p: AdamW(p, learning_rate=0.02, beta1=0.8, beta2=0.95, weight_decay=0.1),
        "AdamW",
        {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.1},
    ),
    "rmsprop": (lambda p: RMSProp(p, weight_decay=0.01), "RMSprop", {"weight_decay": 0.01}),
    "rmsprop centered": (
        lambda p: RMSProp(p, learning_rate=0.02, alpha=0.9, momentum=0.8, centered=True),
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "momentum": 0.8, "centered": True},
    ),
}


@pytest.mark.parametrize(("make", "peer", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_ten_steps_of_an_optimizer(make: Made, peer: str, options: dict[str, Any]) -> None:
    module = Linear(7)
    build(module, (40,), seed=0)
    weight = module.parameters()["weight"]
    theirs = torch.from_numpy(weight.stored()).requires_grad_()
    ours, torchs = make({"weight": weight}), getattr(torch.optim, peer)([theirs], **options)
    rng = np.random.default_rng(1)
    for _ in range(10):
        gradient = rng.standard_normal((7, 40)).astype(np.float32)
        weight.grad[...] = gradient.T
        theirs.grad = torch.from_numpy(gradient)
        ours.step()
        torchs.step()
    assert difference(weight.stored(), theirs.detach().numpy()) <= 1e-5


def rates(make: Callable[[Any], Any], count: int, *, rate: float) -> list[float]:
    """What PyTorch's schedule makes of `rate`, step after step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule, seen = make(optimizer), []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_schedules() -> None:
    lr = torch.optim.lr_scheduler
    step = schedules.Step(0.5, every=3, factor=0.4)
    expected = rates(lambda o: lr.StepLR(o, 3, 0.4), 10, rate=0.5)
    assert [step(i) for i in range(10)] == pytest.approx(expected)
    cosine = schedules.Cosine(0.5, steps=9, final=0.1)
    expected = rates(lambda o: lr.CosineAnnealingLR(o, 9, 0.1), 10, rate=0.5)
    assert [cosine(i) for i in range(10)] == pytest.approx(expected)
    cycle = schedules.OneCycle(0.5, steps=20)
    expected = rates(lambda o: lr.OneCycleLR(o, 0.5, total_steps=21), 20, rate=0.5)
    longer = schedules.OneCycle(0.5, steps=21)
    assert [longer(i) for i in range(20)] == pytest.approx(expected)
    assert cycle(19) == pytest.approx(longer(20))


def test_a_plateau() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=2)
    ours = schedules.ReduceOnPlateau(0.5, factor=0.3, patience=2)
    for loss in np.random.default_rng(0).uniform(0.5, 1, 40):
        theirs.step(loss)
        assert ours.observe(float(loss)) == pytest.approx(optimizer.param_groups[0]["lr"])
