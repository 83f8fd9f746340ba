"""Recipes as JSON: what is filled in, what is refused, and the rates that schedules come to."""

import json

import convnest_core
import pytest
from convnest_core.rates import Rates
from convnest_core.recipe import (
    LOSSES,
    OPTIMIZER_CLASSES,
    OPTIMIZERS,
    SCHEDULES,
    Kind,
    Setting,
    complete,
)

KINDS = [(kinds, name) for kinds in (OPTIMIZERS, SCHEDULES, LOSSES) for name in kinds]


@pytest.mark.parametrize(("kinds", "name"), KINDS)
def test_every_default_is_within_its_range(kinds: dict[str, Kind], name: str) -> None:
    full, problems = complete(kinds, {"name": name}, default="")
    assert problems == []
    assert full == json.loads(json.dumps(full))
    assert complete(kinds, full, default="") == (full, [])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_its_settings(name: str) -> None:
    settings, _ = complete(OPTIMIZERS, {"name": name}, default="")
    del settings["name"]
    assert getattr(convnest_core, OPTIMIZER_CLASSES[name])({}, **settings)


def test_all_that_is_wrong_is_told_at_once() -> None:
    given = {"name": "adam", "learning_rate": 0, "beta1": 1.0, "momentum": 0.9, "epsilon": "x"}
    _, problems = complete(OPTIMIZERS, given, default="sgd")
    assert {problem.field: problem.message for problem in problems} == {
        "learning_rate": "must be > 0 and ≤ 1000, got 0",
        "beta1": "must be ≥ 0 and < 1, got 1.0",
        "momentum": "is no setting of adam, which has "
        "learning_rate, beta1, beta2, epsilon, weight_decay",
        "epsilon": "must be a number, got 'x'",
    }


def test_an_unknown_name_is_told_its_neighbour() -> None:
    _, problems = complete(SCHEDULES, {"name": "cosin"}, default="constant")
    assert problems[0].message.endswith("got 'cosin'; did you mean 'cosine'?")


def test_the_settings_of_an_unknown_name_are_looked_at_too() -> None:
    given = {"name": "adagrad", "learning_rate": -1, "momentum": 0.5, "colour": 3}
    _, problems = complete(OPTIMIZERS, given, default="sgd")
    assert [problem.field for problem in problems] == ["name", "learning_rate", "colour"]


def test_nan_is_outside_every_range() -> None:
    settings = [
        one
        for kinds, name in KINDS
        for one in kinds[name].settings.values()
        if isinstance(one, Setting)
    ]
    assert settings
    assert all(setting.problem(float("nan")) for setting in settings)


def rates(name: str, *, epochs: int = 10, **settings: float) -> Rates:
    full, problems = complete(SCHEDULES, {"name": name, **settings}, default="")
    assert not problems
    return Rates(full, rate=0.1, steps_per_epoch=100, epochs=epochs)


@pytest.mark.parametrize("name", ["constant", "step", "plateau", "cosine"])
def test_a_warm_up_climbs_in_a_line_to_the_optimizers_rate(name: str) -> None:
    rate = rates(name, warmup_epochs=2)
    assert [rate(step) for step in (0, 99, 199)] == pytest.approx([0.1 / 200, 0.05, 0.1])
    assert rate(200) == pytest.approx(0.1)


def test_steps_count_in_epochs() -> None:
    rate = rates("step", every_epochs=3, factor=0.5)
    assert [rate(step) for step in (0, 299, 300, 600)] == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_a_cosine_ends_at_its_last_step() -> None:
    rate = rates("cosine", least_rate=0.01)
    assert rate(0) == pytest.approx(0.1)
    assert rate(999) == pytest.approx(0.01)


def test_a_cycle_peaks_at_the_optimizers_rate() -> None:
    rate = rates("one_cycle")
    assert max(rate(step) for step in range(1000)) == pytest.approx(0.1)
    assert rate(0) == pytest.approx(0.1 / 25)


def test_a_plateau_falls_when_accuracy_stays_and_goes_on_from_its_state() -> None:
    rate = rates("plateau", patience=1, warmup_epochs=1)
    for accuracy in (0.5, 0.8, 0.8):
        rate.epoch_ended(accuracy)
    assert rate(100) == pytest.approx(0.1)
    again = rates("plateau", patience=1, warmup_epochs=1)
    again.load_state(json.loads(json.dumps(rate.state())))
    for one in (rate, again):
        one.epoch_ended(0.8)
        assert one(100) == pytest.approx(0.01)
        assert one(0) == pytest.approx(0.01 / 100)
