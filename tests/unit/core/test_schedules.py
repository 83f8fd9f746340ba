"""Learning rates over time, by their published formulas."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from convnest_core import SpecError, StateError
from convnest_core.schedules import (
    Constant,
    Cosine,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
    Warmup,
)


def rates(schedule: Schedule, count: int) -> list[float]:
    return [schedule(step) for step in range(count)]


def test_steps_and_constants() -> None:
    assert rates(Constant(0.3), 3) == [0.3] * 3
    assert rates(Step(1.0, every=2, factor=0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_cosine_goes_from_its_first_to_its_last_rate_and_stays() -> None:
    schedule = Cosine(1.0, steps=10, final=0.2)
    assert schedule(0) == 1.0
    assert schedule(5) == pytest.approx(0.6)
    assert schedule(10) == schedule(99) == pytest.approx(0.2)
    assert all(before > after for before, after in pairwise(rates(schedule, 11)))


def test_one_cycle_rises_for_its_share_and_falls_to_nearly_nothing() -> None:
    schedule = OneCycle(1.0, steps=100)
    seen = rates(schedule, 100)
    assert seen[0] == pytest.approx(1 / 25)
    assert max(seen) == seen[29] == 1.0
    assert seen[99] == pytest.approx(1 / 25 / 1e4)
    assert schedule(1000) == seen[99]
    assert all(before < after for before, after in pairwise(seen[:30]))
    assert all(before > after for before, after in pairwise(seen[29:]))


def test_a_warm_up_is_a_line_to_the_schedule_after_it() -> None:
    schedule = Warmup(Step(0.8, every=1, factor=0.5), steps=4)
    assert rates(schedule, 7) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.2])


def test_a_plateau_reduces_the_rate_after_more_than_patience_looks() -> None:
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2, threshold=0.1, least=0.3)
    losses = [10.0, 9.5, 8.5, 8.4, 8.3, 8.2, 8.1, 8.0, 7.9, 1.0]
    seen = [schedule.observe(loss) for loss in losses]
    assert seen == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.3, 0.3]


def test_a_plateau_resumes_where_it_stood() -> None:
    first = ReduceOnPlateau(1.0, patience=1)
    assert ReduceOnPlateau(1.0).state() == {"rate": 1.0, "waited": 0}
    first.observe(5.0)
    first.observe(6.0)
    second = ReduceOnPlateau(0.7, patience=1)
    second.load_state(first.state())
    assert first.observe(6.0) == second.observe(6.0) == pytest.approx(0.1)
    with pytest.raises(StateError, match="missing waited; unexpected extra"):
        second.load_state({"rate": 1.0, "extra": 2.0})
    with pytest.raises(SpecError, match="rate must be"):
        second.load_state({"rate": float("nan"), "waited": 0})
    assert second.state() == first.state()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Constant(-1), "rate"),
        (lambda: Step(0.1, every=0), "every"),
        (lambda: Step(0.1, every=1, factor=0), "factor"),
        (lambda: Cosine(0.1, steps=0), "steps"),
        (lambda: OneCycle(0.1, steps=1), "steps"),
        (lambda: OneCycle(0.1, steps=10, rising=1), "rising"),
        (lambda: Warmup(Constant(1), steps=0), "steps"),
        (lambda: ReduceOnPlateau(0.1, factor=1), "factor"),
        (lambda: ReduceOnPlateau(0.1, patience=-1), "patience"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert caught.value.path == field
