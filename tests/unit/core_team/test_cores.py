"""How many cores a process may keep busy."""

import os
from pathlib import Path

import pytest
from convnest_core.team.cores import available_cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_quota_of_control_groups_2_counts_even_if_it_is_an_outer_groups(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "self" / "cgroup", "0::/user/session\n")
    write(tmp_path / "groups" / "user" / "cpu.max", "50000 100000\n")
    write(tmp_path / "groups" / "user" / "session" / "cpu.max", "max 100000\n")
    assert available_cores(tmp_path / "proc", tmp_path / "groups") == 0.5


def test_a_quota_of_control_groups_1_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "self" / "cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n")
    folder = tmp_path / "groups" / "cpu,cpuacct" / "box"
    write(folder / "cpu.cfs_quota_us", "25000\n")
    write(folder / "cpu.cfs_period_us", "100000\n")
    assert available_cores(tmp_path / "proc", tmp_path / "groups") == 0.25


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinities here")
def test_without_a_quota_it_is_the_affinity(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "proc", tmp_path) == len(os.sched_getaffinity(0))
