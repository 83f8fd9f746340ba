"""The two ends of a child's pipes: what it tells, how it ended, and that it never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from convnest_worker.child import ChildProcess, Message, describe_exit
from support.waiting import until

PRELUDE = """
import os, signal, sys
from convnest_worker.channel import Channel
channel = Channel.adopt()
begin = channel.receive_first()
"""


class Children:
    """Starts children that run a program of the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[ChildProcess] = []

    def start(self, program: str, begin: Message | None = None) -> ChildProcess:
        name = f"child_{len(self._started)}"
        (self._folder / f"{name}.py").write_text(PRELUDE + program)
        self._started.append(ChildProcess(name, begin or {}))
        return self._started[-1]

    def stop(self) -> None:
        for child in self._started:
            child.kill()
            child.wait()


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", ":".join(path))
    children = Children(tmp_path)
    yield children
    children.stop()


def received(child: ChildProcess) -> list[Message]:
    messages = []
    while message := child.receive(20):
        messages.append(message)
    assert message == {}, "the child has not ended"
    return messages


def test_what_is_asked_is_answered_and_what_is_printed_is_no_message(children: Children) -> None:
    child = children.start(
        """
print("to nobody")
channel.event("log", {"text": begin["word"]})
channel.send({"done": channel.ask("twice", 4)})
os._exit(0)
""",
        {"word": "hällo\\n"},
    )
    assert child.receive(20) == {"event": "log", "data": {"text": "hällo\\n"}}
    assert child.receive(20) == {"ask": "twice", "value": 4}
    child.send({"answer": 8})
    assert received(child) == [{"done": 8}]
    assert child.wait() == 0
    assert child.stderr_tail == "to nobody\n"


@pytest.mark.parametrize(
    ("end", "code", "description"),
    [
        ("os._exit(3)", 3, "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, "signal 9 (SIGKILL)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11, "signal 11 (SIGSEGV)"),
        ("raise ValueError('the last words')", 1, "exit code 1"),
    ],
)
def test_the_end_is_told_by_its_cause(
    children: Children, end: str, code: int, description: str
) -> None:
    child = children.start(f"channel.send({{'alive': True}})\n{end}\n")
    assert received(child) == [{"alive": True}]
    assert child.wait() == code
    assert describe_exit(code) == description
    if code == 1:
        assert child.stderr_tail.endswith("ValueError: the last words\n")


def test_the_last_words_are_the_last_ones(children: Children) -> None:
    child = children.start("sys.stderr.write('x' * 100_000 + '\\nthe end\\n')\nos._exit(1)\n")
    assert received(child) == []
    child.wait()
    assert child.stderr_tail.endswith("x\nthe end\n")
    assert len(child.stderr_tail) <= 4096


def test_a_line_that_is_no_message_is_passed_over(children: Children) -> None:
    child = children.start(
        """
channel._out.write("not json\\n")
channel.send({"done": 1})
os._exit(0)
"""
    )
    assert received(child) == [{"done": 1}]


def test_a_wish_is_seen_and_cancel_is_the_last_one(children: Children) -> None:
    child = children.start(
        """
for awaited in begin["wishes"]:
    while channel.wish != awaited:
        pass
    channel.send({"saw": awaited})
    channel.checkpoint_written()
    channel.send({"left": channel.wish})
channel.ask("go on", 0)
channel.send({"wish": channel.wish})
os._exit(0)
""",
        {"wishes": ["checkpoint", "stop", "cancel"]},
    )
    for wish, left in (("checkpoint", ""), ("stop", "stop"), ("cancel", "cancel")):
        child.send({"wish": wish})
        assert child.receive(20) == {"saw": wish}
        assert child.receive(20) == {"left": left}
    assert child.receive(20) == {"ask": "go on", "value": 0}
    child.send({"wish": "stop"})
    child.send({"answer": 0})
    assert received(child) == [{"wish": "cancel"}]


def test_a_child_that_has_ended_is_told_nothing_and_harms_nobody(children: Children) -> None:
    child = children.start("os._exit(0)\n")
    assert received(child) == []
    for _ in range(3):
        child.send({"wish": "stop"})
    assert child.wait() == 0


def test_a_child_ends_when_its_parent_does(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(
        PRELUDE + "channel.send({'alive': True})\nsignal.pause()\n"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"import os; os.environ['PYTHONPATH'] = os.pathsep.join([{str(tmp_path)!r}, "
        "os.environ.get('PYTHONPATH', '')])\n"
        "from convnest_worker.child import ChildProcess\n"
        "child = ChildProcess('endless', {})\n"
        "assert child.receive(20)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid), within_s=2, what="the child is gone")
