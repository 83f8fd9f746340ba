"""A program run by several members, here one after another, with what each may run ahead."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from threading import Condition

import numpy as np
import pytest
from convnest_core import Array, Concat, Conv2d, Module, Sequential, Shape, build, network
from convnest_core.errors import TeamError
from convnest_core.kernels.planned import Packing, Share
from convnest_core.planning import plan
from convnest_core.planning.packed import Filling, Finding, Measuring, expect_alike
from convnest_core.planning.program import Compiler, Program

ALEXNET_LIKE: dict[str, object] = {
    "layers": [
        {"conv": {"filters": 24, "kernel": 7, "stride": 2}},
        "relu",
        {"max_pool": {"size": 3, "stride": 2}},
        "lrn",
        {"conv": {"filters": 64, "kernel": 5, "padding": 2, "groups": 4}},
        "relu",
        {"conv": {"filters": 48, "kernel": 3, "padding": 1, "groups": 4}},
        "sigmoid",
        {"avg_pool": {"size": 2}},
        "flatten",
        {"linear": {"features": 70}},
        "relu",
        {"linear": {"features": 10}},
    ]
}
NETWORKS: dict[str, tuple[dict[str, object], Shape]] = {
    "lenet": ({"name": "lenet"}, (28, 28, 1)),
    "cifar resnet": ({"name": "resnet20"}, (32, 32, 3)),
    "resnet": ({"name": "resnet18"}, (40, 40, 3)),
    "googlenet": ({"name": "googlenet", "options": {"auxiliary": False}}, (48, 48, 3)),
    "alexnet-like": (ALEXNET_LIKE, (51, 51, 3)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def module(request: pytest.FixtureRequest) -> Module:
    """With statistics that are not where they start."""
    spec, shape = NETWORKS[request.param]
    module = network(spec, classes=10)
    build(module, shape, seed=4)
    for _, inner in module.modules():
        for buffer in inner.own_buffers().values():
            buffer += 0.5
    return module


def images(module: Module, count: int) -> Array:
    assert module.built is not None
    shape = count, *module.built.input_shape
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


class Turns:
    """A barrier between whose meetings the members run one after another, in a given order."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order
        self._turn = 0
        self._passed = Condition()

    def member(self, rank: int, work: Callable[[Callable[[], None]], None]) -> None:
        """Do `work(meet)` in this member's turns."""
        place = self._order.index(rank)

        def wait() -> None:
            nonlocal place
            with self._passed:
                assert self._passed.wait_for(lambda: self._turn == place, timeout=20)
            place += len(self._order)

        def end() -> None:
            with self._passed:
                self._turn += 1
                self._passed.notify_all()

        def meet() -> None:
            end()
            wait()

        wait()
        work(meet)
        end()


def in_turns(program: Program, x: Array, order: Sequence[int]) -> Array:
    """What members compute in one arena that holds nothing but NaN at first."""
    arena = np.full(program.layout.arena_bytes, 0xFF, np.uint8)
    arrays = {**program.layout.arrays(program.dtype, arena), program.input: x}
    turns = Turns(order)

    def member(rank: int) -> None:
        share = Share(rank, len(order))
        turns.member(rank, lambda meet: program.run(arrays, len(x), share=share, meet=meet))

    with ThreadPoolExecutor(len(order)) as pool:
        list(pool.map(member, range(len(order))))
    return arrays[program.output][: len(x)]


def close(got: Array, wanted: Array) -> bool:
    return bool(np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("members", [2, 3])
def test_members_that_run_ahead_as_far_as_they_may_compute_the_same(
    module: Module, members: int
) -> None:
    program = Compiler(module).program(members - 1)
    for count in range(1, members):
        x = images(module, count)
        wanted = plan(module, x.shape[1:], max_batch=count)(x)
        for order in permutations(range(members)):
            assert close(in_turns(program, x, order), wanted)


def test_members_meet_between_chunks_too(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnest_core.planning.segments._CHUNK_BYTES", 1 << 14)
    x = images(module, 3)
    program = Compiler(module).program(3)
    for order in permutations(range(2)):
        assert close(in_turns(program, x, order), plan(module, x.shape[1:], max_batch=3)(x))


def test_branches_that_only_read_the_same_do_not_wait_for_each_other() -> None:
    branches = [Conv2d(2, 1), Sequential([Conv2d(3, 1), Conv2d(4, 3, padding=1)]), Conv2d(5, 1)]
    module = Sequential([Conv2d(3, 1), Concat(branches), Conv2d(1, 1)])
    build(module, (6, 6, 1), seed=0)
    program = Compiler(module).program(1)
    waiting = {
        layer.path: step.waits for layer, step in zip(program.layers, program.steps, strict=True)
    }
    assert waiting == {
        "0": True,
        "1.0": True,
        "1.1.0": False,
        "1.1.1": True,
        "1.2": False,
        "2": True,
    }


def compiled(module: Module, pack: Packing) -> list[Program]:
    compiler = Compiler(module, pack)
    return [compiler.program(1), compiler.program(4)]


def test_a_program_of_found_weights_computes_the_same(module: Module) -> None:
    compiled(module, measuring := Measuring())
    room = np.full(measuring.size_bytes, 0xFF, np.uint8)
    x = images(module, 4)
    for _ in range(2):
        compiled(module, Filling(room))
        few, many = compiled(module, Finding(room))
        wanted = plan(module, x.shape[1:], max_batch=4)(x)
        assert close(in_turns(few, x[:1], [1, 0]), wanted[:1])
        assert np.array_equal(in_turns(many, x, [0]), wanted)
        for parameter in module.parameters().values():
            parameter.value *= 0.9  # the second time there are other weights


def test_found_weights_are_the_rooms_and_nobody_makes_or_writes_them() -> None:
    room = np.zeros(1 << 12, np.uint8)
    filling, finding = Filling(room), Finding(room)
    arrays: list[Array] = [np.eye(3, dtype=np.float32), np.full((), 2.0), np.ones((2, 0, 3))]
    put = [filling(array.copy) for array in arrays]

    def never() -> Array:
        raise AssertionError

    for array, one in zip(arrays, put, strict=True):
        found = finding(never)
        assert np.array_equal(found, array)
        assert found.dtype == array.dtype
        assert not found.size or np.shares_memory(found, one)
        assert not found.flags.writeable
        assert not one.flags.writeable
        assert found.ctypes.data % 64 == room.ctypes.data % 64


def test_a_member_that_packs_something_else_says_so() -> None:
    room = np.zeros(1 << 12, np.uint8)
    filling, finding = Filling(room), Finding(room)
    filling(lambda: np.eye(3))
    expect_alike("a plan", filling)
    with pytest.raises(TeamError, match="different plans"):
        expect_alike("a plan", finding)
    expect_alike("a plan", finding)
    with pytest.raises(TeamError, match="more weights than the first"):
        finding(lambda: np.eye(3))


def test_parameters_that_a_kernel_takes_as_they_are_are_not_packed() -> None:
    module = network({"layers": ["flatten", {"linear": {"features": 500}}]}, classes=500)
    build(module, (10, 10, 3), seed=0, dtype=np.float64)  # NumPy's kernels, in any set
    Compiler(module, measuring := Measuring()).program(1)
    weights = max(parameter.value.nbytes for parameter in module.parameters().values())
    assert measuring.size_bytes < weights / 10
