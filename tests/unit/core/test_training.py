"""Training as a whole: the course's run, learning, resuming, threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from convnest_core import (
    SGD,
    Array,
    Integers,
    Linear,
    Module,
    Run,
    Sequential,
    Sigmoid,
    SpecError,
    StateError,
    build,
    network,
    softmax_cross_entropy,
    squared_loss,
    zero_grad,
)


def test_the_textbook_two_layer_run() -> None:
    """64×1000 → 100 → 10, sigmoid, squared loss, step 1e-4: the course's twenty lines."""
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((64, 1000)), rng.standard_normal((64, 10))
    w1, w2 = rng.standard_normal((1000, 100)), rng.standard_normal((100, 10))

    module = Sequential([Linear(100, bias=False), Sigmoid(), Linear(10, bias=False)])
    build(module, (1000,), seed=0, dtype=np.float64)
    module.load_state({"0.weight": w1.T, "2.weight": w2.T})
    optimizer = SGD(module.parameters(), learning_rate=1e-4)
    losses, expected = [], []
    for _ in range(500):
        zero_grad(module)
        y, backward = module.forward(x, Run(training=True, input_gradient=False))
        loss, dy = squared_loss(y, target)
        backward(dy)
        optimizer.step()
        losses.append(loss)

        h = 1 / (1 + np.exp(-x.dot(w1)))
        y_pred = h.dot(w2)
        expected.append(np.square(y_pred - target).sum())
        dy_pred = 2.0 * (y_pred - target)
        dw2 = h.T.dot(dy_pred)
        dh = dy_pred.dot(w2.T)
        dw1 = x.T.dot(dh * h * (1 - h))
        w1 -= 1e-4 * dw1
        w2 -= 1e-4 * dw2
    np.testing.assert_allclose(losses, expected, rtol=1e-7)
    assert losses[-1] < losses[0] / 50


def stripes(count: int) -> tuple[Array, Integers]:
    """Noisy 12×12 images of horizontal, vertical and diagonal stripes."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, count)
    phase = rng.uniform(0, 6, (count, 1, 1))
    i, j = np.mgrid[:12, :12]
    ways = np.stack([i, j, (i + j) / 1.4])[labels]
    images = np.sin(1.5 * ways + phase) + 0.5 * rng.standard_normal((count, 12, 12))
    return images[..., None].astype(np.float32), labels


SPEC = {
    "name": "convnet",
    "options": {"n": 1, "m": 2, "filters": 8, "hidden": 32, "dropout": 0.2, "batch_norm": True},
}


def prepared() -> tuple[Module, SGD]:
    module = network(SPEC, classes=3)
    build(module, (12, 12, 1), seed=0)
    return module, SGD(module.parameters(), learning_rate=0.02, momentum=0.9, weight_decay=1e-3)


def train(module: Module, optimizer: SGD, *, first: int, last: int) -> list[float]:
    """Steps `first` … `last` - 1 of training on stripes, in batches of 32."""
    images, labels = stripes(320)
    losses = []
    for step in range(first, last):
        batch = np.arange(32 * step, 32 * step + 32) % 320
        run = Run(training=True, seed=0, epoch=step // 10, samples=batch, input_gradient=False)
        zero_grad(module)
        logits, backward = module.forward(images[batch], run)
        loss, dlogits = softmax_cross_entropy(logits, labels[batch])
        backward(dlogits)
        optimizer.step()
        losses.append(loss)
    return losses


def test_a_small_network_learns() -> None:
    module, optimizer = prepared()
    losses = train(module, optimizer, first=0, last=30)
    images, labels = stripes(400)
    assert losses[-1] < losses[0] / 4
    assert (module(images[320:]).argmax(axis=1) == labels[320:]).mean() > 0.95


def test_training_is_the_same_to_the_bit_run_after_run_and_after_a_resume() -> None:
    whole, optimizer = prepared()
    losses = train(whole, optimizer, first=0, last=12)

    part, optimizer = prepared()
    begun = train(part, optimizer, first=0, last=5)
    weights, velocities = part.state(), optimizer.state()
    resumed, optimizer = prepared()
    resumed.load_state(weights)
    optimizer.load_state(velocities)
    assert begun + train(resumed, optimizer, first=5, last=12) == losses
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array)


def test_skipping_the_input_gradient_changes_no_parameters_gradient() -> None:
    images, labels = stripes(8)
    gradients = []
    for input_gradient in (True, False):
        module, _ = prepared()
        run = Run(training=True, samples=np.arange(8), input_gradient=input_gradient)
        logits, backward = module.forward(images, run)
        dx = backward(softmax_cross_entropy(logits, labels)[1])
        assert dx.shape == images.shape
        gradients.append({name: p.grad.copy() for name, p in module.parameters().items()})
    for name, gradient in gradients[0].items():
        np.testing.assert_array_equal(gradients[1][name], gradient)


def test_gradients_add_until_they_are_zeroed() -> None:
    module, _ = prepared()
    images, labels = stripes(8)
    run = Run(training=True, samples=np.arange(8))
    logits, backward = module.forward(images, run)
    backward(softmax_cross_entropy(logits, labels)[1])
    once = {name: p.grad.copy() for name, p in module.parameters().items()}
    backward(softmax_cross_entropy(logits, labels)[1])
    for name, parameter in module.parameters().items():
        np.testing.assert_allclose(parameter.grad, 2 * once[name], rtol=1e-5, atol=1e-7)
    zero_grad(module)
    assert not any(parameter.grad.any() for parameter in module.parameters().values())


def test_threads_may_share_a_module() -> None:
    module = network({"name": "lenet"}, classes=5)
    build(module, (20, 20, 1), seed=0)
    inputs = [
        np.random.default_rng(i).standard_normal((1 + i % 5, 20, 20, 1)).astype(np.float32)
        for i in range(40)
    ]
    alone = [module(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(module, inputs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_moves_as_published(
    nesterov: bool,
) -> None:
    module = Linear(1)
    build(module, (1,), seed=0, dtype=np.float64)
    weight, bias = module.parameters().values()
    weight.value[...], bias.value[...] = 2.0, 3.0
    optimizer = SGD(
        module.parameters(), learning_rate=0.1, momentum=0.5, weight_decay=0.01, nesterov=nesterov
    )
    w, b, vw, vb = 2.0, 3.0, 0.0, 0.0
    for gradient in (1.0, -2.0, 0.5):
        weight.grad[...] = bias.grad[...] = gradient
        optimizer.step()
        gw = gradient + 0.01 * w  # weights decay, biases do not
        vw, vb = 0.5 * vw + gw, 0.5 * vb + gradient
        w -= 0.1 * (gw + 0.5 * vw if nesterov else vw)
        b -= 0.1 * (gradient + 0.5 * vb if nesterov else vb)
    assert weight.value.item() == pytest.approx(w, rel=1e-12)
    assert bias.value.item() == pytest.approx(b, rel=1e-12)
    assert weight.grad.item() == 0.5  # the step leaves gradients alone


def test_an_optimizer_refuses_another_ones_state_and_settings_out_of_range() -> None:
    _, optimizer = prepared()
    state = optimizer.state()
    assert all(name.startswith("velocity.") for name in state)
    broken = {**state, "velocity.extra": np.zeros(2, np.float32)}
    del broken["velocity.features.0.weight"]
    broken["velocity.classifier.0.bias"] = np.zeros(3, np.float32)
    with pytest.raises(StateError) as caught:
        optimizer.load_state(broken)
    assert caught.value.missing == ("velocity.features.0.weight",)
    assert caught.value.unexpected == ("velocity.extra",)
    assert caught.value.mismatching == ("velocity.classifier.0.bias (float32 3, not float32 32)",)
    for settings, field in (
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 1, "momentum": 1}, "momentum"),
        ({"learning_rate": 1, "weight_decay": -0.1}, "weight_decay"),
        ({"learning_rate": 1, "nesterov": True}, "nesterov"),
    ):
        with pytest.raises(SpecError) as refused:
            SGD({}, **settings)
        assert refused.value.path == field
