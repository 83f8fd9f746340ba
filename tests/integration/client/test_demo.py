"""The demo's own part; what it starts is here a server in memory."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from convnest.cli.__main__ import main
from convnest.stack import StackError

if TYPE_CHECKING:
    from support.fake_api.world import FakeConvNest


class StackInMemory:
    """Stands in for the processes that the demo starts."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.data_dir = Path()
        self.is_running = False

    def __enter__(self) -> StackInMemory:
        self.is_running = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_running = False


@pytest.fixture
def stack(world: FakeConvNest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackInMemory]:
    stack = StackInMemory(world.address)

    def make(options: object) -> StackInMemory:
        stack.data_dir = options.data_dir  # type: ignore[attr-defined]  # they are StackOptions
        return stack

    monkeypatch.setattr("convnest.stack.Stack", make)
    handler = signal.getsignal(signal.SIGTERM)
    yield stack
    signal.signal(signal.SIGTERM, handler)


def test_the_demo_trains_draws_and_classifies(
    stack: StackInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "\x1b" not in printed.out
    assert "✓ digits-lenet:1 · validation accuracy 99.1 %" in printed.out
    assert re.search(r"✗ +100-0\.png +0 +7 +87\.5 % +━{14} +1 12\.5 %", printed.out)
    assert re.search(r"✓ +107-7\.png +7 +7 ", printed.out)
    assert (tmp_path / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "digits").iterdir())) == 10
    assert not stack.is_running
    assert not stack.data_dir.exists()


def test_the_demo_tells_all_as_one_document(
    stack: StackInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--json", "--out", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["job"]["state"] == "SUCCEEDED"
    assert [digit["label"] for digit in document["digits"]] == [str(n) for n in range(10)]


def test_a_demo_that_learns_too_little_fails(
    world: FakeConvNest, stack: StackInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.accuracy = 0.9799
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: validation accuracy must be ≥ 98%, got 97.99%\n"


def test_a_stack_that_cannot_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise StackError("no Redis here; install redis-server")

    monkeypatch.setattr("convnest.stack.Stack", fail)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: no Redis here; install redis-server\n"
