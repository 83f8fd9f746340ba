"""What a stack in a process of its own leaves behind when that process is told to stop, or dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from convnest.stack import Programs, Stack, StackOptions
from convnest.stack.data_lock import read_owner

_HOST = Path(__file__).parent / "stack_host.py"


class Host:
    """A running `stack_host.py`: its process, and its events up to its readiness."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pids = {}
        for event in self.events():
            if event["kind"] == "started":
                self.pids[event["part"]] = event["pid"]
            if event["kind"] == "ready" and "address" in event:
                break

    def events(self) -> Iterator[dict[str, Any]]:  # Any: JSON
        assert self.process.stdout is not None
        return (json.loads(line) for line in self.process.stdout)

    def running(self, *, within_s: float) -> list[psutil.Process]:
        """The parts' processes that are still there after a time."""
        processes = [psutil.Process(pid) for pid in self.pids.values() if psutil.pid_exists(pid)]
        _, alive = psutil.wait_procs(processes, timeout=within_s)
        return alive


@contextmanager
def _host(data_dir: Path, *arguments: str) -> Iterator[Host]:
    with subprocess.Popen(
        [sys.executable, str(_HOST), str(data_dir), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Host(process)
        finally:
            process.kill()


def test_nothing_outlives_a_killed_stack_and_the_next_one_tidies_up(
    options: StackOptions, programs: Programs
) -> None:
    with _host(options.data_dir) as host:
        assert set(host.pids) == {"redis-state", "redis-queue", "server", "worker-1"}
        left = read_owner(options.data_dir)
        assert left is not None
        host.process.kill()
        host.process.wait()
        assert host.running(within_s=4.0) == []
        assert (options.data_dir / "blobs" / "drained").exists(), "it could not log any more"
        with Stack(options, programs=programs):
            assert not Path(left.runtime_dir).exists()


def test_the_next_stack_starts_while_a_killed_one_still_dies(
    options: StackOptions, programs: Programs
) -> None:
    with _host(options.data_dir) as host:
        host.process.kill()
        host.process.wait()
        with Stack(options, programs=programs) as stack:
            assert len(stack.processes()) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_from_the_terminal_stops_all_in_order(
    number: signal.Signals, tmp_path: Path
) -> None:
    with _host(tmp_path / "data") as host:
        os.killpg(host.process.pid, number)
        stopped = [
            event["part"]
            for event in host.events()
            if event["kind"] == "stopped" and "part" in event
        ]
        assert host.process.wait(timeout=10) == 0
        assert stopped == ["server", "worker-1", "redis-queue", "redis-state"]
        assert host.running(within_s=0) == []
    assert "drained" in (tmp_path / "data" / "logs" / "worker-1.log").read_text()


def test_a_second_signal_does_not_wait_for_a_deaf_worker(tmp_path: Path) -> None:
    with _host(tmp_path / "data", "--deaf") as host:
        host.process.send_signal(signal.SIGINT)
        for event in host.events():
            if event["kind"] == "stopped" and event.get("part") == "server":
                break
        host.process.send_signal(signal.SIGINT)
        assert host.process.wait(timeout=5) == 0
        assert host.running(within_s=0) == []


def test_a_signal_during_the_start_stops_what_has_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(_HOST), str(tmp_path / "data"), "--no-server"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = {}
        for line in process.stdout:
            event = json.loads(line)
            if event["kind"] == "started":
                pids[event["part"]] = event["pid"]
            if event["kind"] == "started" and event["part"] == "worker-1":
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert set(pids) == {"redis-state", "redis-queue", "server", "worker-1"}
        assert not any(psutil.pid_exists(pid) for pid in pids.values())
