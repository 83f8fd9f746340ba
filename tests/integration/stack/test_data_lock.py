from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from convnest.stack import StackError
from convnest.stack.data_lock import DataLock, Owner, read_owner


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_lock_given_up_in_good_order_leaves_no_owner(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    lock.write(Owner(os.getpid(), runtime_dir="/tmp/convnest-1", address="127.0.0.1:1"))
    assert read_owner(tmp_path) == Owner(os.getpid(), "/tmp/convnest-1", "127.0.0.1:1")
    lock.release()
    assert read_owner(tmp_path) is None
    again = DataLock(tmp_path)
    assert again.previous is None
    again.release()


def test_a_living_owner_is_named_at_once(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    lock.write(Owner(os.getpid()))
    with pytest.raises(StackError, match=rf"another stack \(process {os.getpid()}\)"):
        DataLock(tmp_path)
    lock.release()


def test_what_a_dead_owner_left_running_is_waited_for(tmp_path: Path, dead_pid: int) -> None:
    lock = DataLock(tmp_path)
    lock.write(Owner(dead_pid, runtime_dir="/tmp/convnest-1"))
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()]
    ) as orphan:
        os.close(lock.fileno())
        with pytest.raises(StackError, match="still in use by what a killed stack left running"):
            DataLock(tmp_path, dying_timeout_s=0.2)
        orphan.kill()
        after = DataLock(tmp_path)
        assert after.previous == Owner(dead_pid, runtime_dir="/tmp/convnest-1")
        after.release()


@pytest.mark.parametrize("content", ["", "1234", '{"pid": 1, "colour": "red"}', "{", "\x00"])
def test_a_damaged_lock_file_is_no_obstacle(content: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(content)
    lock = DataLock(tmp_path)
    assert lock.previous is None
    lock.release()
