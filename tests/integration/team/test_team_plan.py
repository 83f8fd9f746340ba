"""A compiled network over real processes."""

from collections.abc import Iterator

import numpy as np
import pytest
from convnest_core import Array, Module, build, network
from convnest_core.errors import DTypeError, ShapeError, StateError, TeamError
from convnest_core.planning import plan
from convnest_core.planning.team import TeamPlan

NETWORK = {"name": "convnet", "options": {"batch_norm": True, "filters": 8}}
SHAPE = (12, 12, 3)


def images(count: int) -> Array:
    return np.random.default_rng(0).standard_normal((count, *SHAPE)).astype(np.float32)


@pytest.fixture
def module() -> Module:
    """With statistics that are not where they start: they have to reach every process."""
    module = network(NETWORK, classes=10)
    build(module, SHAPE, seed=4)
    for _, inner in module.modules():
        for buffer in inner.own_buffers().values():
            buffer += 0.5
    return module


@pytest.fixture
def team_plan(module: Module) -> Iterator[TeamPlan]:
    with TeamPlan(
        NETWORK, module.state(), classes=10, shape=SHAPE, processes=2, max_batch=5
    ) as team_plan:
        yield team_plan


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_team_answers_what_one_process_answers(
    module: Module, team_plan: TeamPlan, count: int
) -> None:
    alone = plan(module, SHAPE, max_batch=5)
    wanted = alone(images(count))
    assert np.abs(team_plan(images(count)) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_the_answer_is_the_callers(team_plan: TeamPlan) -> None:
    first = team_plan(images(3))
    kept = first.copy()
    team_plan(-images(3))
    assert np.array_equal(first, kept)


def test_a_team_plan_says_what_it_takes(team_plan: TeamPlan) -> None:
    with pytest.raises(ShapeError, match="a batch of 1 to 5 × 12×12×3, got an array of 6×12×12×3"):
        team_plan(images(6))
    with pytest.raises(DTypeError, match="in float32, got float64"):
        team_plan(images(1).astype(np.float64))
    team_plan.close()
    with pytest.raises(TeamError, match="closed"):
        team_plan(images(1))


def test_the_state_of_another_network_starts_no_team() -> None:
    with pytest.raises(StateError, match="missing"):
        TeamPlan(NETWORK, {}, classes=10, shape=SHAPE, processes=2, max_batch=1)
