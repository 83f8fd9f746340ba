from __future__ import annotations

import subprocess
import sys
import threading

from convnest.stack.tether import tethered

_WAITS = (sys.executable, "-c", "print('runs', flush=True); import time; time.sleep(60)")


def _last_words(command: tuple[str, ...]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 1
    return run.stderr


def test_the_program_ends_with_the_thread_that_started_it() -> None:
    started = threading.Event()
    may_end = threading.Event()
    processes = []

    def start() -> None:
        processes.append(
            subprocess.Popen(tethered(_WAITS), stdout=subprocess.PIPE, start_new_session=True)
        )
        started.set()
        may_end.wait()

    thread = threading.Thread(target=start)
    thread.start()
    started.wait()
    with processes[0] as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n"
        assert process.poll() is None
        may_end.set()
        assert process.wait(timeout=5) == -15
    thread.join()


def test_it_is_not_started_when_its_parent_is_gone_already() -> None:
    command = list(tethered(_WAITS))
    command[command.index("--") - 1] = "1"
    assert "was not started: its parent 1 is gone" in _last_words(tuple(command))


def test_a_program_that_is_not_there_is_named() -> None:
    assert "cannot run /nowhere/redis-server: No such file" in _last_words(
        tethered(["/nowhere/redis-server"])
    )
