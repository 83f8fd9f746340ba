"""Training that is split over processes: the same bits again, the same numbers for any split."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from convnest_core import (
    SGD,
    Array,
    CoreError,
    Integers,
    Run,
    StateError,
    build,
    freeze,
    network,
    softmax_cross_entropy,
    zero_grad,
)
from convnest_core.team import TeamTrainer

BATCH = 32
NORMALISED = {
    "name": "convnet",
    "options": {"n": 1, "m": 2, "filters": 8, "hidden": 32, "dropout": 0.2, "batch_norm": True},
}
LENET = {"name": "lenet"}
MLP = {"name": "mlp", "options": {"hidden": [64, 96]}}
SGD_OPTIONS = {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 1e-3}


def stripes(count: int, size: int) -> tuple[Array, Integers]:
    """Noisy images of horizontal, vertical and diagonal stripes."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, count)
    phase = rng.uniform(0, 6, (count, 1, 1))
    i, j = np.mgrid[:size, :size]
    ways = np.stack([i, j, (i + j) / 1.4])[labels]
    images = np.sin(18 / size * ways + phase) + 0.5 * rng.standard_normal((count, size, size))
    return images[..., None].astype(np.float32), labels


IMAGES = {12: stripes(400, 12), 28: stripes(400, 28)}


def trainer(spec: dict[str, Any], size: int, processes: int, **options: Any) -> TeamTrainer:
    defaults: dict[str, Any] = {
        "optimizer": ("convnest_core:SGD", SGD_OPTIONS),
        "seed": 0,
        "batch": BATCH,
    }
    return TeamTrainer(
        spec, classes=3, shape=(size, size, 1), processes=processes, **(defaults | options)
    )


def train(team: TeamTrainer, size: int, *, first: int, last: int) -> list[float]:
    """The losses of steps `first` … `last` - 1."""
    images, labels = IMAGES[size]
    losses = []
    for step in range(first, last):
        rows = np.arange(BATCH * step, BATCH * (step + 1)) % 320
        found = team.step(images[rows], labels[rows], samples=rows, epoch=step // 10)
        losses.append(found.loss)
    return losses


def trained(spec: dict[str, Any], size: int, processes: int, **options: Any) -> tuple[Any, ...]:
    """Losses of 30 steps, state, and share of right answers on other images."""
    with trainer(spec, size, processes, **options) as team:
        losses = train(team, size, first=0, last=30)
        images, labels = IMAGES[size]
        accuracy = float((team(images[320:]).argmax(axis=1) == labels[320:]).mean())
        return losses, team.state(), accuracy


def same(one: dict[str, Array], other: dict[str, Array]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize(("spec", "size"), [(LENET, 28), (NORMALISED, 12)])
def test_training_does_not_depend_on_the_number_of_processes(
    spec: dict[str, Any], size: int
) -> None:
    alone, _, accuracy = trained(spec, size, 1)
    assert accuracy > 0.9
    for processes in (2, 3):
        losses, _, split = trained(spec, size, processes)
        np.testing.assert_allclose(losses[:10], alone[:10], rtol=1e-4)
        assert abs(split - accuracy) <= 1 / 80  # one image: half a point is less than that


@pytest.mark.parametrize(("spec", "size"), [(LENET, 28), (NORMALISED, 12)])
@pytest.mark.parametrize("processes", [2, 3])
def test_the_same_number_of_processes_gives_the_same_bits(
    spec: dict[str, Any], size: int, processes: int
) -> None:
    one, other = (trained(spec, size, processes, spin=spin) for spin in (True, False))
    assert one[0] == other[0]
    same(one[1], other[1])


def test_the_lines_of_other_cpus_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    here = trained(NORMALISED, 12, 3)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    there = trained(NORMALISED, 12, 3)
    assert there[0] == here[0]
    same(there[1], here[1])


def test_a_team_of_one_is_the_plain_loop_to_the_bit() -> None:
    module = network(NORMALISED, classes=3)
    build(module, (12, 12, 1), seed=0)
    optimizer = SGD(module.parameters(), **SGD_OPTIONS)  # type: ignore[arg-type]
    images, labels = IMAGES[12]
    losses = []
    for step in range(30):
        rows = np.arange(BATCH * step, BATCH * (step + 1)) % 320
        run = Run(training=True, epoch=step // 10, samples=rows, input_gradient=False)
        zero_grad(module)
        logits, backward = module.forward(images[rows], run)
        loss, dlogits = softmax_cross_entropy(logits, labels[rows])
        backward(dlogits)
        optimizer.step()
        losses.append(loss)
    found, state, _ = trained(NORMALISED, 12, 1)
    assert found == losses
    same(state, module.state())


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("frozen", [[], ["fc2"]])
def test_matrices_that_are_split_by_rows_move_as_in_the_plain_loop(
    processes: int, frozen: list[str]
) -> None:
    module = network(MLP, classes=3)
    build(module, (12, 12, 1), seed=0, dtype=np.float64)
    for path in frozen:
        freeze(module, path)
    optimizer = SGD(module.parameters(), **SGD_OPTIONS)  # type: ignore[arg-type]
    images, labels = IMAGES[12][0].astype(np.float64), IMAGES[12][1]
    with trainer(MLP, 12, processes, dtype=np.float64, frozen=frozen) as team:
        assert team.module.parameters()["fc1.weight"].products is not None
        for rows in (np.arange(31), np.arange(7), np.arange(2), np.arange(1)):
            found = team.step(images[rows], labels[rows], samples=rows)
            zero_grad(module)
            run = Run(training=True, samples=rows, input_gradient=False)
            logits, backward = module.forward(images[rows], run)
            loss, dlogits = softmax_cross_entropy(logits, labels[rows])
            backward(dlogits)
            optimizer.step()
            assert found.loss == pytest.approx(loss, rel=1e-9)
        state, moments = team.state(), team.optimizer_state()
    assert moments.keys() == optimizer.state().keys()
    for name, array in module.state().items():
        np.testing.assert_allclose(state[name], array, rtol=1e-9, atol=1e-12)
    for name, moment in optimizer.state().items():
        np.testing.assert_allclose(moments[name], moment, rtol=1e-9, atol=1e-12)  # type: ignore[arg-type]


OPTIMIZERS = {
    "SGD": SGD_OPTIONS,
    "Adam": {"learning_rate": 0.003},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("spec", [NORMALISED, MLP], ids=["convnet", "mlp"])
def test_a_resume_is_exact_to_the_bit(optimizer: str, processes: int, spec: dict[str, Any]) -> None:
    options = {"optimizer": (f"convnest_core:{optimizer}", OPTIMIZERS[optimizer])}
    with trainer(spec, 12, processes, **options) as team:
        losses = train(team, 12, first=0, last=12)
        whole = team.state()
    with trainer(spec, 12, processes, **options) as team:
        train(team, 12, first=0, last=5)
        weights, moments = team.state(), team.optimizer_state()
    with trainer(spec, 12, processes, seed=5, **options) as team:
        team.load_state(weights)
        team.load_optimizer_state(moments)
        assert train(team, 12, first=5, last=12) == losses[5:]
        same(team.state(), whole)


def test_a_state_means_the_same_to_any_number_of_processes() -> None:
    with trainer(NORMALISED, 12, 2) as team:
        losses = train(team, 12, first=0, last=8)
    with trainer(NORMALISED, 12, 2) as team:
        train(team, 12, first=0, last=4)
        weights, moments = team.state(), team.optimizer_state()
    module = network(NORMALISED, classes=3)
    build(module, (12, 12, 1), seed=0)
    optimizer = SGD(module.parameters(), **SGD_OPTIONS)  # type: ignore[arg-type]
    optimizer.load_state(moments)  # as a single process has it
    with trainer(NORMALISED, 12, 3, seed=5) as team:
        team.load_state(weights)
        team.load_optimizer_state(optimizer.state())
        np.testing.assert_allclose(train(team, 12, first=4, last=8), losses[4:], rtol=1e-4)


def test_batch_norm_sees_the_whole_batch_and_dropout_the_same_places() -> None:
    """In float64 the split changes nothing but the last digits."""
    images, labels = IMAGES[12]
    found = []
    for processes in (1, 2, 3):
        with trainer(NORMALISED, 12, processes, dtype=np.float64) as team:
            for rows in (np.arange(31), np.arange(7), np.arange(2), np.arange(1)):
                step = team.step(images[rows].astype(np.float64), labels[rows], samples=rows)
            found.append((step, team.state()))
    for step, state in found[1:]:
        assert step.correct == found[0][0].correct
        assert step.loss == pytest.approx(found[0][0].loss, rel=1e-9)
        for name, array in state.items():
            np.testing.assert_allclose(array, found[0][1][name], rtol=1e-7, atol=1e-12)


def soft_labels(labels: Integers) -> npt.NDArray[np.float32]:
    return np.eye(3, dtype=np.float32)[labels]


def test_another_loss_takes_labels_of_its_own() -> None:
    images, labels = IMAGES[12]
    rows = np.arange(20)
    steps = []
    for processes in (1, 3):
        with trainer(NORMALISED, 12, processes, loss="support.team_losses:squared") as team:
            steps.append(team.step(images[rows], soft_labels(labels[rows]), samples=rows))
    assert steps[0].loss == pytest.approx(steps[1].loss, rel=1e-5)
    assert steps[0].correct == steps[1].correct


def test_class_weights_weigh_over_the_whole_batch() -> None:
    images, labels = IMAGES[12]
    rows = np.argsort(labels[:20], kind="stable")  # so that shares differ in their classes
    options = {"class_weights": [0.0, 0.5, 2.0], "smoothing": 0.1}
    found = []
    for processes in (1, 2, 3):
        with trainer(NORMALISED, 12, processes, dtype=np.float64, loss_options=options) as team:
            step = team.step(images[rows].astype(np.float64), labels[rows], samples=rows)
            found.append((step.loss, team.state()))
    for loss, state in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-9)
        for name, array in state.items():
            np.testing.assert_allclose(array, found[0][1][name], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 2, 5, BATCH, 70])
def test_outputs_are_those_of_the_module(processes: int, images: int) -> None:
    x = IMAGES[12][0][:images]
    with trainer(NORMALISED, 12, processes, optimizer=None) as team:
        np.testing.assert_allclose(team(x), team.module(x), rtol=1e-4, atol=1e-5)


def test_the_learning_rate_may_change_from_step_to_step() -> None:
    images, labels = IMAGES[12]
    rows = np.arange(BATCH)
    with trainer(NORMALISED, 12, 2) as team:
        before = team.state()
        team.step(images[rows], labels[rows], samples=rows, learning_rate=0.0)
        after = team.state()
    for name in (one for one in before if "running" not in one):
        np.testing.assert_array_equal(before[name], after[name])


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    with trainer(NORMALISED, 12, 2) as team:
        train(team, 12, first=0, last=2)
        weights, moments = team.state(), team.optimizer_state()
        wrong = {**moments, "velocity.more": np.zeros(3, np.float32)}
        with pytest.raises(StateError, match=r"unexpected velocity\.more"):
            team.load_optimizer_state(wrong)
        name = next(iter(moments))
        with pytest.raises(StateError, match="NaN"):
            team.load_optimizer_state({**moments, name: np.full_like(moments[name], np.nan)})
        with pytest.raises(CoreError):
            team.load_state({})
        same(team.state(), weights)
        same(team.optimizer_state(), moments)  # type: ignore[arg-type]
