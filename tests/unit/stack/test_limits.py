from __future__ import annotations

import os
from pathlib import Path

import pytest
from convnest.stack.limits import cpu_limit, machine_memory_bytes, memory_limit_bytes

_GIB = 1 << 30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path / "proc"


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_tightest_group_on_the_way_up_counts(proc: Path, cgroups: Path) -> None:
    _write(proc / "self" / "cgroup", "0::/user/session\n")
    _write(cgroups / "user" / "session" / "memory.max", "max\n")
    _write(cgroups / "user" / "memory.max", f"{_GIB}\n")
    _write(cgroups / "user" / "session" / "cpu.max", "50000 100000\n")
    assert memory_limit_bytes(proc, cgroups) == _GIB
    assert cpu_limit(proc, cgroups) == 0.5


def test_in_a_container_the_groups_files_are_at_the_root(proc: Path, cgroups: Path) -> None:
    _write(proc / "self" / "cgroup", "0::/docker/4711\n")
    _write(cgroups / "memory.max", f"{_GIB}\n")
    assert memory_limit_bytes(proc, cgroups) == _GIB


def test_control_groups_of_version_1_are_read(proc: Path, cgroups: Path) -> None:
    _write(proc / "self" / "cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n")
    _write(cgroups / "memory" / "box" / "memory.limit_in_bytes", f"{_GIB}\n")
    _write(cgroups / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    _write(cgroups / "cpu,cpuacct" / "box" / "cpu.cfs_quota_us", "25000\n")
    _write(cgroups / "cpu,cpuacct" / "box" / "cpu.cfs_period_us", "100000\n")
    assert memory_limit_bytes(proc, cgroups) == _GIB
    assert cpu_limit(proc, cgroups) == 0.25


def test_without_limits_the_machine_is_ours(proc: Path, cgroups: Path) -> None:
    _write(proc / "self" / "cgroup", "2:cpu:/\n0::/\n")
    _write(cgroups / "cpu" / "cpu.cfs_quota_us", "-1\n")
    _write(cgroups / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert memory_limit_bytes(proc, cgroups) == machine_memory_bytes()
    assert cpu_limit(proc, cgroups) == len(os.sched_getaffinity(0))


def test_a_system_without_proc_is_not_an_error(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert memory_limit_bytes(nowhere, nowhere) == machine_memory_bytes()
