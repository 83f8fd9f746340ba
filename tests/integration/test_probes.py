"""The probes by which containers tell their health, over a real server and a real worker."""

import os
import subprocess
import sys

from support.processes import Fleet
from support.waiting import until


def probe(fleet: Fleet, module: str, *arguments: str, **environment: str) -> int:
    """The probe's exit code."""
    settings = {"CONVNEST_QUEUE_URL": fleet.queue.url, "CONVNEST_LISTEN": fleet.address}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, env={**os.environ, **settings, **environment}, timeout=30, check=False
    ).returncode


def test_the_servers_probe_follows_its_health(fleet: Fleet) -> None:
    server = fleet.start_server()
    assert probe(fleet, "convnest_server.probe") == 0
    assert probe(fleet, "convnest_server.probe", "convnest.worker") == 1
    server.terminate()
    server.wait(timeout=10)
    assert probe(fleet, "convnest_server.probe") == 1


def test_the_workers_probe_knows_its_own_worker(fleet: Fleet) -> None:
    assert probe(fleet, "convnest_worker.probe") == 1
    fleet.start_worker("anne")
    until(
        lambda: probe(fleet, "convnest_worker.probe", CONVNEST_WORKER_NAME="anne") == 0,
        within_s=30,
        what="a sign of life",
    )
    assert probe(fleet, "convnest_worker.probe", CONVNEST_WORKER_NAME="bert") == 1
    assert probe(fleet, "convnest_worker.probe") == 1  # no worker is named after this host


def test_the_workers_probe_fails_while_the_queue_is_away(fleet: Fleet) -> None:
    fleet.queue.stop()
    assert probe(fleet, "convnest_worker.probe", CONVNEST_WORKER_NAME="anne") == 1
