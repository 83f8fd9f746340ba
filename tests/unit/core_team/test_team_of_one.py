"""A team of one: the same code without any other process; and what every member works out alone."""

import numpy as np
import pytest
from convnest_core import Array, CoreError, SpecError, StateError
from convnest_core.team import Member, Team, TeamError, TeamTrainer
from convnest_core.team.memory import Memory

PROBE = "support.team_programs:Probe"
SGD = ("convnest_core:SGD", {"learning_rate": 0.1, "momentum": 0.9})


def member(rank: int, size: int) -> Member:
    return Member(rank, size, lines=[], take=Memory(by_descriptor=False).take)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 7, 128])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_cover_all_rows_in_order_and_differ_by_one(count: int, size: int) -> None:
    shares = [member(rank, size).share(count) for rank in range(size)]
    rows = [row for share in shares for row in range(count)[share]]
    assert rows == list(range(count))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_team_of_one_runs_the_program_here() -> None:
    with Team(1, PROBE, {"values": 3}) as team:
        team.run("fill", value=2.0)
        assert team.program.values.tolist() == [2.0, 2.0, 2.0]
        assert team.run("sum", count=3, dtype="float64") == [1.0, 2.0, 3.0]
        assert len(team.pids) == 1


def test_memory_that_is_not_to_be_had_is_an_error() -> None:
    with pytest.raises(TeamError, match="bytes of shared memory"):
        Team(1, PROBE, {"values": 1 << 60})


def test_a_closed_team_says_so() -> None:
    team = Team(1, PROBE, {})
    team.close()
    team.close()
    with pytest.raises(TeamError, match="closed"):
        team.run("report")


def test_an_exception_of_this_member_is_raised_as_it_is_and_closes_the_team() -> None:
    team = Team(1, PROBE, {})
    with pytest.raises(ValueError, match="told to fail"):
        team.run("fail", rank=0)
    with pytest.raises(TeamError, match="closed"):
        team.run("report")


@pytest.mark.parametrize("processes", [0, -1, 1000, 1.5, True])
def test_the_number_of_processes_is_checked(processes: object) -> None:
    with pytest.raises(SpecError, match="processes must be"):
        Team(processes, PROBE, {})  # type: ignore[arg-type]


def trainer(**changes: object) -> TeamTrainer:
    options = {
        "classes": 3, "shape": (4, 4, 1), "seed": 0, "processes": 1, "batch": 8, "optimizer": SGD,
    }  # fmt: skip
    return TeamTrainer({"name": "mlp", "options": {"hidden": [5]}}, **(options | changes))  # type: ignore[arg-type]


def images(count: int) -> Array:
    return np.random.default_rng(0).standard_normal((count, 4, 4, 1)).astype(np.float32)


def test_what_does_not_fit_is_refused_before_any_member_sees_it() -> None:
    with trainer() as one:
        labels, samples = np.zeros(8, np.int64), np.arange(8)
        with pytest.raises(CoreError, match="at most 8 images, got 9"):
            one.step(images(9), np.zeros(9, np.int64), samples=np.arange(9))
        with pytest.raises(CoreError, match="a label and a sample index for each image"):
            one.step(images(7), labels, samples=samples)
        with pytest.raises(CoreError, match="float64"):
            one.step(images(8).astype(np.float64), labels, samples=samples)
        with pytest.raises(StateError, match="missing"):
            one.load_optimizer_state({})
        assert one.step(images(8), labels, samples=samples).correct <= 8


def test_images_that_are_put_in_place_give_the_same() -> None:
    labels, samples = np.arange(6) % 3, np.arange(6)
    losses = []
    for in_place in (False, True):
        with trainer() as one:
            x = images(6)
            if in_place:
                one.images[:6] = x
                x = one.images[:6]
            losses.append(one.step(x, labels, samples=samples).loss)
    assert losses[0] == losses[1]


def test_outputs_of_more_images_than_a_batch_are_those_of_the_module() -> None:
    with trainer() as one:
        x = images(21)
        np.testing.assert_allclose(one(x), one.module(x), rtol=1e-6)
        with pytest.raises(CoreError):
            one(x[:0])


def test_frozen_parameters_stay() -> None:
    with trainer(frozen=["fc1"]) as one:
        before = one.state()
        one.step(images(8), np.zeros(8, np.int64), samples=np.arange(8))
        after = one.state()
        moved = {name for name in before if (before[name] != after[name]).any()}
        assert moved == {"fc2.weight", "fc2.bias"}
        assert set(one.optimizer_state()) == {f"velocity.{name}" for name in moved}


def test_without_an_optimizer_nothing_moves() -> None:
    with trainer(optimizer=None) as one:
        before = one.state()
        one.step(images(8), np.zeros(8, np.int64), samples=np.arange(8))
        for name, array in one.state().items():
            np.testing.assert_array_equal(array, before[name])
        assert one.optimizer_state() == {}
