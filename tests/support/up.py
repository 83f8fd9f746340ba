"""`convnest up` as a person starts it: a process of its own, with its data directory."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from support.process_tree import descendants
from support.waiting import until


class Up:
    """One run of the stack. A second one on the same directory finds what the first left."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        """environment: on top of this process', but for its CONVNEST_… variables."""
        ours = {name: value for name, value in os.environ.items() if "CONVNEST_" not in name}
        self.data_dir = data_dir
        self._errors = data_dir.with_name(f"{data_dir.name}.stderr")
        self._told: list[dict[str, Any]] = []  # Any: an event as JSON
        with self._errors.open("ab") as errors:
            command = [sys.executable, "-m", "convnest.cli", "up", "--json", "--port", "0"]
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(data_dir)],
                env={**ours, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()

    def wait_ready(self) -> str:
        """Returns the address."""
        ready = until(
            lambda: self._find("ready", part="") or self._process.poll() is not None,
            within_s=60,
            what="the stack is ready",
        )
        assert isinstance(ready, dict), self._errors.read_text()
        return str(ready["address"])

    def pid_of(self, part: str) -> int:
        """The process that keeps a part now, once that is ready."""

        def ready() -> int:
            last = [event for event in self._told if event.get("part") == part]
            is_ready = bool(last) and last[-1]["kind"] == "ready"
            return int(last[-1]["pid"]) if is_ready else 0

        return until(ready, within_s=30, what=f"{part} is ready")

    def kill_part(self, part: str) -> None:
        """SIGKILL; returns once the part is there again."""
        pid = self.pid_of(part)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self._find("died", part=part, pid=pid), within_s=10, what=f"{part} died")
        assert self.pid_of(part) != pid

    def state_url(self) -> str:
        """The state Redis' address."""
        owner: Mapping[str, str] = json.loads((self.data_dir / "lock").read_text("utf-8"))
        return f"unix://{owner['runtime_dir']}/state.sock"

    def descendants(self) -> list[psutil.Process]:
        """All processes of the stack, itself among them."""
        return [psutil.Process(self._process.pid), *descendants(self._process.pid)]

    def terminate(self, *, within_s: float) -> int:
        """SIGTERM; its exit code. Fails where it takes longer."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within_s)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends what still runs, and stops to listen."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()

    def _find(self, kind: str, **fields: object) -> dict[str, Any] | None:
        for event in list(self._told):
            found = {name: event.get(name, "") for name in fields}
            if event["kind"] == kind and found == fields:
                return event
        return None

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._told.append(json.loads(line))
