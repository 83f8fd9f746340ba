"""Teams of real processes: what they compute, how they end, what they leave (nothing)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.waiting import until

TESTS = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def host(
    scenario: str, start: str, processes: int, *, stderr: int | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.team_host", scenario, start, str(processes)],
        cwd=TESTS,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def told(scenario: str, start: str, processes: int) -> Any:
    """What the scenario answers; its process must end well."""
    with host(scenario, start, processes) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output)


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@STARTS
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_all_members_take_part_and_nothing_is_left(start: str, processes: int) -> None:
    found = told("results", start, processes)
    rows, extra = divmod(10, processes)
    expected: list[float] = []
    for rank in range(processes):
        expected += [1.0 + rank] * (rows + (rank < extra))
    assert found["values"] == expected
    assert found["pids"][0] == found["pids"][1]
    assert len(set(found["pids"][0])) == processes
    times = sum(range(1, processes + 1))
    assert found["sums"] == {"float32": [40_000, 40_000.0 * times], "float64": [5, 5.0 * times]}
    assert found["left"][0] == found["left"][1]
    assert found["children"] == ""


@STARTS
def test_an_exception_in_a_member_arrives_with_its_traceback(start: str) -> None:
    found = told("fail", start, 3)
    assert found["named"] == [2, True, None]
    assert "member 2 of a team of 3" in found["message"]
    assert "ValueError: member 2 was told to fail" in found["message"]
    assert "team_programs.py" in found["message"]
    assert found["children"] == ""
    assert "closed" in found["then"]


@STARTS
@pytest.mark.parametrize(
    ("end", "name", "how"),
    [("kill", "SIGKILL", "was killed by SIGKILL"), ("exit", None, "status 3")],
)
def test_the_end_of_a_member_is_an_error_that_names_it(
    start: str, end: str, name: str | None, how: str
) -> None:
    found = told(end, start, 3)
    assert found["named"] == [2, True, name]
    assert how in found["message"]
    assert found["seconds"] < 1
    assert found["children"] == ""
    assert "closed" in found["then"]


@STARTS
def test_a_program_that_cannot_be_built_in_a_member_is_an_error(start: str) -> None:
    found = told("unbuilt", start, 3)
    assert "ValueError: no member" in found["message"]
    assert found["children"] == ""


@STARTS
@pytest.mark.parametrize("doing", ["idle", "asleep", "busy"])
def test_members_end_at_once_when_their_parent_is_killed(start: str, doing: str) -> None:
    with host(doing, start, 3) as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        assert pids[0] == process.pid
        assert all(runs(pid) for pid in pids)
        time.sleep(0.2)  # so that each is where the scenario wants it
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(runs(pid) for pid in pids), within_s=1, what="all members gone")


@STARTS
def test_ctrl_c_ends_all_of_them(start: str) -> None:
    with host("busy", start, 3, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())
        time.sleep(0.2)
        for pid in pids:  # a terminal sends it to every process of the group
            os.kill(pid, signal.SIGINT)
    assert process.returncode == -signal.SIGINT
    assert not any(runs(pid) for pid in pids)


@STARTS
def test_a_team_that_is_not_closed_ends_with_its_process(start: str) -> None:
    pids = told("forgotten", start, 3)
    until(lambda: not any(runs(pid) for pid in pids), within_s=1, what="all members gone")


@STARTS
@pytest.mark.parametrize("processes", [2, 5])
def test_nobody_burns_a_core_while_it_waits(start: str, processes: int) -> None:
    """A second for a late member, half a second without work: no CPU time to speak of."""
    spent = told("blocked", start, processes)
    assert max(spent) < 0.1


def test_more_members_than_cores_do_not_spin_for_each_other() -> None:
    cores = len(os.sched_getaffinity(0))
    found = told("crowded", "fork", 3 * cores)
    assert found["cpu_s"] < 0.001 * 300 * 3 * cores
    assert found["seconds"] < 10


@STARTS
def test_members_compute_with_the_kernels_of_the_first(start: str) -> None:
    for chosen, *members in told("kernels", start, 3):
        assert members == [chosen] * 3


@pytest.mark.parametrize("start", ["default", "spawn"])
def test_threads_make_and_share_a_team(start: str) -> None:
    found = told("in_threads", start, 3)
    assert found == {"errors": [], "values": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]}


def test_a_process_with_threads_does_not_fork() -> None:
    with host("in_threads", "fork", 2, stderr=subprocess.DEVNULL) as process:
        process.communicate(timeout=60)
    assert process.returncode != 0
