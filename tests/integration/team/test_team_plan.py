"""A compiled network over real processes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from convnest_core import Array, Module, Plan, Shape, build, network, plan
from convnest_core.errors import DTypeError, ShapeError, StateError, TeamError
from convnest_core.planning.team import TeamPlan

NETWORK: dict[str, object] = {
    "name": "convnet",
    "options": {"batch_norm": True, "filters": 8},
}
SHAPE = (12, 12, 3)
ALEXNET_LIKE: dict[str, object] = {
    "layers": [
        {"conv": {"filters": 24, "kernel": 7, "stride": 2}},
        "relu",
        {"max_pool": {"size": 3, "stride": 2}},
        "lrn",
        {"conv": {"filters": 64, "kernel": 5, "padding": 2, "groups": 2}},
        "relu",
        "sigmoid",
        "flatten",
        {"linear": {"features": 70}},
        "relu",
        {"linear": {"features": 10}},
    ]
}
ARCHITECTURES: dict[str, tuple[dict[str, object], Shape]] = {
    "lenet": ({"name": "lenet"}, (28, 28, 1)),
    "resnet20": ({"name": "resnet20"}, (32, 32, 3)),
    "googlenet": ({"name": "googlenet", "options": {"auxiliary": False}}, (48, 48, 3)),
    "alexnet-like": (ALEXNET_LIKE, (51, 51, 3)),
}


def images(count: int, shape: Shape = SHAPE) -> Array:
    return np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)


def with_statistics(spec: dict[str, object], shape: Shape) -> Module:
    """With statistics that are not where they start: they have to reach every process."""
    module = network(spec, classes=10)
    build(module, shape, seed=4)
    for _, inner in module.modules():
        for buffer in inner.own_buffers().values():
            buffer += 0.5
    return module


@pytest.fixture
def module() -> Module:
    return with_statistics(NETWORK, SHAPE)


@pytest.fixture
def team_plan(module: Module) -> Iterator[TeamPlan]:
    with TeamPlan(
        NETWORK, module.state(), classes=10, shape=SHAPE, processes=2, max_batch=5
    ) as team_plan:
        yield team_plan


@pytest.fixture(
    scope="module",
    params=[(name, processes) for name in ARCHITECTURES for processes in (2, 3)],
    ids=lambda param: "-".join(map(str, param)),
)
def twins(request: pytest.FixtureRequest) -> Iterator[tuple[TeamPlan, Plan]]:
    """A network compiled for several processes, and for this one."""
    name, processes = request.param
    spec, shape = ARCHITECTURES[name]
    module = with_statistics(spec, shape)
    with TeamPlan(
        spec, module.state(), classes=10, shape=shape, processes=processes, max_batch=5
    ) as team_plan:
        yield team_plan, plan(module, shape, max_batch=5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_team_answers_what_one_process_answers(twins: tuple[TeamPlan, Plan], count: int) -> None:
    team_plan, alone = twins
    for _ in range(2):
        x = images(count, alone.input_shape)
        wanted = alone(x)
        assert np.abs(team_plan(x) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("max_batch", [1, 2])
def test_a_team_larger_than_its_batches_answers_the_same(module: Module, max_batch: int) -> None:
    x = images(max_batch)
    wanted = plan(module, SHAPE, max_batch=max_batch)(x)
    with TeamPlan(
        NETWORK, module.state(), classes=10, shape=SHAPE, processes=3, max_batch=max_batch
    ) as team_plan:
        assert np.abs(team_plan(x) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_team_of_one_is_a_plan(module: Module) -> None:
    with TeamPlan(
        NETWORK, module.state(), classes=10, shape=SHAPE, processes=1, max_batch=3
    ) as team_plan:
        assert np.array_equal(team_plan(images(3)), plan(module, SHAPE, max_batch=3)(images(3)))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_one_member_packs_is_everybodys() -> None:
    """Winograd's weights are four times the parameters."""
    layers = ["relu", {"conv": {"filters": 512, "kernel": 3, "padding": 1}}] * 4
    spec = {"layers": [*layers, "global_avg_pool", {"linear": {"features": 10}}]}
    packed = 3 * 36 * 512 * 512 * 4  # bytes; the first layer is none of them
    module = network(spec, classes=10)
    build(module, (16, 16, 3), seed=0)
    with TeamPlan(
        spec, module.state(), classes=10, shape=(16, 16, 3), processes=3, max_batch=3
    ) as team_plan:
        team_plan(images(1, (16, 16, 3)))
        team_plan(images(3, (16, 16, 3)))
        assert all(own_bytes(pid) < packed for pid in team_plan.pids[1:])


def own_bytes(pid: int) -> int:
    """What a process holds that no other one does."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = dict(line.split(":") for line in lines[1:])
    return 1024 * sum(int(found[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


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
