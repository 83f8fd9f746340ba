from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from convnest.cli.up_report import JsonReport, TextReport
from convnest.stack import Event
from rich.console import Console


class _Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def _told(event: Event) -> str:
    screen = io.StringIO()
    TextReport(Console(file=screen, width=200), data_dir=Path("/data"))(event)
    return screen.getvalue()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("started", "server", pid=7), "server       started (pid 7)"),
        (Event("ready", "server", pid=7), "server       ready"),
        (Event("progress", "worker-1", "compiling 1/2"), "worker-1     compiling 1/2"),
        (Event("died", "worker-1", "killed by SIGKILL"), "worker-1     died: killed by SIGKILL"),
        (Event("restarting", "worker-1", delay_s=0.42), "worker-1     starting again in 0.4 s"),
        (Event("stopped", "redis-state", "exit code 0"), "redis-state  stopped (exit code 0)"),
        (Event("warning", detail="[red]"), "convnest     warning: [red]"),
    ],
)
def test_an_event_is_one_plain_line(event: Event, line: str) -> None:
    assert _told(event) == f"{line}\n"


def test_when_all_is_ready_it_says_where_and_what_to_type() -> None:
    text = _told(Event("ready", detail="127.0.0.1:50051"))
    assert "ConvNest is ready on 127.0.0.1:50051" in text
    assert "/data" in text
    assert " convnest dataset add digits --builtin digits\n" in text
    other = _told(Event("ready", detail="127.0.0.1:1234"))
    assert " convnest --server 127.0.0.1:1234 dataset add" in other


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = JsonReport(data_dir=Path("/data"))
    report(Event("started", "server", pid=7))
    report(Event("ready", detail="127.0.0.1:50051"))
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"kind": "started", "part": "server", "pid": 7},
        {"kind": "ready", "address": "127.0.0.1:50051", "data_dir": "/data"},
    ]


def test_a_reader_that_has_gone_does_not_end_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.dup2", lambda *_: 0)  # rich turns our real stdout away from the pipe
    TextReport(Console(file=_Gone()), data_dir=Path("/data"))(Event("ready", "server"))
