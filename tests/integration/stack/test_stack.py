from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import redis
from convnest.stack import Programs, Stack, StackError, StackOptions
from convnest.stack.backoff import Backoff
from convnest.stack.health import SERVER, is_serving

if TYPE_CHECKING:
    from .conftest import Recorder


def test_all_parts_are_ready_inside_and_gone_outside(
    options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    with Stack(options, on_event=recorder, programs=programs) as stack:
        pids = stack.processes()
        assert set(pids) == {"redis-state", "redis-queue", "server", "worker-1"}
        assert is_serving(stack.address, SERVER)
        runtime_dir = Path(stack.state_url.removeprefix("unix://")).parent
        assert runtime_dir.stat().st_mode & 0o777 == 0o700

    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not runtime_dir.exists()
    assert {
        event.detail for event in recorder.events if event.kind == "stopped" and event.part
    } == {"exit code 0"}


def test_parts_stop_from_the_outside_in_and_the_state_last(
    options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    with Stack(options, on_event=recorder, programs=programs):
        pass
    assert recorder.parts("stopped") == ["server", "worker-1", "redis-queue", "redis-state"]
    assert "drained" in (options.data_dir / "logs" / "worker-1.log").read_text()


@pytest.mark.parametrize("part", ["server", "worker-1", "redis-queue"])
def test_a_part_that_dies_is_started_again(
    part: str, options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    with Stack(options, on_event=recorder, programs=programs) as stack:
        address, before = stack.address, stack.processes()
        os.kill(before[part], signal.SIGKILL)
        assert recorder.wait_for("died", part).detail == "killed by SIGKILL"
        recorder.wait_for("ready", part, count=2)
        after = stack.processes()

        assert after.pop(part) != before.pop(part)
        assert after == before
        assert stack.address == address
        assert is_serving(address, SERVER)


def test_a_killed_state_redis_comes_back_with_every_accepted_write(
    options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    with (
        Stack(options, on_event=recorder, programs=programs) as stack,
        redis.Redis.from_url(stack.state_url) as state,
    ):
        for n in range(100):
            state.set(f"job:{n}", n)
        os.kill(stack.processes()["redis-state"], signal.SIGKILL)
        recorder.wait_for("ready", "redis-state", count=2)
        assert state.dbsize() == 100

    with (
        Stack(options, on_event=recorder, programs=programs) as stack,
        redis.Redis.from_url(stack.state_url) as state,
    ):
        assert state.get("job:99") == b"99"


def test_the_two_redis_roles_are_set_up_for_what_they_hold(
    options: StackOptions, programs: Programs
) -> None:
    with (
        Stack(options, programs=programs) as stack,
        redis.Redis.from_url(stack.state_url, decode_responses=True) as state,
        redis.Redis.from_url(stack.queue_url, decode_responses=True) as queue,
    ):
        names = ("appendonly", "appendfsync", "save", "maxmemory-policy", "port", "dir")
        kept = {name: state.config_get(name)[name] for name in names}
        passing = {name: queue.config_get(name)[name] for name in (*names, "maxmemory")}
    assert kept["appendonly"] == "yes"
    assert kept["appendfsync"] == "always"
    assert kept["dir"] == str(options.data_dir / "redis-state")
    assert passing["appendonly"] == "no"
    assert 0 < int(passing["maxmemory"]) <= 1 << 30
    for settings in (kept, passing):
        assert (settings["save"], settings["port"]) == ("", "0")
        assert settings["maxmemory-policy"] == "noeviction"


def test_several_workers_have_names_of_their_own(options: StackOptions, programs: Programs) -> None:
    with Stack(options.model_copy(update={"workers": 2}), programs=programs) as stack:
        assert {"worker-1", "worker-2"} <= set(stack.processes())
    logs = options.data_dir / "logs"
    told = [(logs / f"worker-{n}.log").read_text() for n in (1, 2)]
    names = [text.partition("CONVNEST_WORKER_NAME': '")[2].partition("'")[0] for text in told]
    assert len({*names, ""}) == 3


def test_a_worker_that_cannot_start_stops_all_and_its_last_words_are_told(
    options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    failing = dataclasses.replace(programs, worker=(*programs.worker, "--fail"))
    # Were the worker asked for readiness first, the stand-in server would answer for it.
    slow = dataclasses.replace(failing, server=(sys.executable, "-c", "input()"))
    with (
        pytest.raises(StackError, match="ended with exit code 1 before it was ready") as caught,
        Stack(options, on_event=recorder, programs=slow),
    ):
        pass
    assert "\n" not in str(caught.value)
    started = [event.pid for event in recorder.events if event.kind == "started"]
    assert started
    assert not any(pid is not None and psutil.pid_exists(pid) for pid in started)


def test_a_part_that_is_never_ready_is_given_up_after_the_timeout(
    options: StackOptions, programs: Programs
) -> None:
    mute = dataclasses.replace(
        programs, server=(sys.executable, "-c", "import time; print('hm'); time.sleep(60)")
    )
    impatient = options.model_copy(update={"ready_timeout_s": 2.0})
    with (
        pytest.raises(StackError, match=r"server was not ready after 2 s: hm \(log: .*server.log"),
        Stack(impatient, programs=mute),
    ):
        pass


def test_a_second_stack_on_the_same_data_is_told_who_has_it(
    options: StackOptions, programs: Programs
) -> None:
    with (
        Stack(options, programs=programs),
        pytest.raises(StackError, match=rf"in use by another stack \(process {os.getpid()}\)"),
        Stack(options, programs=programs),
    ):
        pass


def test_a_port_that_is_taken_is_named(options: StackOptions, programs: Programs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = options.model_copy(update={"port": port})
        with (
            pytest.raises(StackError, match=f"port {port} on 127.0.0.1 is in use"),
            Stack(taken, programs=programs),
        ):
            pass


def test_a_runtime_directory_too_long_for_sockets_is_refused(
    options: StackOptions, programs: Programs, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    with (
        pytest.raises(StackError, match="too long a path for sockets"),
        Stack(options.model_copy(update={"runtime_dir": long}), programs=programs),
    ):
        pass
    assert list(long.iterdir()) == []


def test_a_given_redis_is_used_and_its_weaknesses_are_told(
    options: StackOptions, recorder: Recorder, programs: Programs, tmp_path: Path
) -> None:
    with Stack(options, programs=programs) as first:
        given = options.model_copy(
            update={"data_dir": tmp_path / "other", "state_url": first.queue_url}
        )
        with Stack(given, on_event=recorder, programs=programs) as second:
            assert "redis-state" not in second.processes()
            assert "redis-queue" in second.processes()
            assert second.state_url == first.queue_url
    assert "keeps no append-only file" in recorder.of("warning", "")[0].detail


def test_a_given_redis_that_is_away_is_named_without_its_password(
    options: StackOptions, programs: Programs
) -> None:
    away = options.model_copy(update={"state_url": "redis://:secret@127.0.0.1:1/0"})
    with (
        pytest.raises(StackError, match=r"redis://127\.0\.0\.1:1/0 does not answer") as caught,
        Stack(away, programs=programs),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_kill_ends_even_a_worker_that_does_not_listen(
    options: StackOptions, recorder: Recorder, programs: Programs
) -> None:
    deaf = dataclasses.replace(programs, worker=(*programs.worker, "--deaf"))
    with Stack(options, on_event=recorder, programs=deaf) as stack:
        pids = stack.processes()
        stack.kill()
        for part in pids:
            assert recorder.wait_for("stopped", part).detail == "killed by SIGKILL"
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


def test_a_part_that_keeps_dying_is_started_ever_later(
    options: StackOptions,
    recorder: Recorder,
    programs: Programs,
    quick_backoff: Callable[[], Backoff],
) -> None:
    with Stack(options, on_event=recorder, programs=programs, make_backoff=quick_backoff) as stack:
        for count in (1, 2, 3):
            os.kill(stack.processes()["worker-1"], signal.SIGKILL)
            recorder.wait_for("ready", "worker-1", count=count + 1)
    delays = [event.delay_s or 0.0 for event in recorder.of("restarting", "worker-1")]
    assert delays == sorted(delays)
    assert len(delays) == 3
