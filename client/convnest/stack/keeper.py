"""Keeping one part running."""

from __future__ import annotations

import threading
import time

from .backoff import Backoff
from .errors import StackError
from .events import Event, Kind, OnEvent
from .part import Part, Run
from .part_log import PartLog

_FIRST_PROBE_S = 0.02
_LONGEST_PROBE_S = 0.5
_CANCELLED_WITHIN_S = 0.1


class Keeper:
    """Starts a part, sees when it is ready, and starts it again, with back-off, when it dies.

    A part that ends before it was ready for the first time has failed: `wait_ready` says why.
    It is started by a thread that lives as long as the part, which a tethered program needs.
    """

    def __init__(self, part: Part, *, log: PartLog, on_event: OnEvent, backoff: Backoff) -> None:
        self.part = part
        """Replace it to change what the next start runs."""
        self._log = log
        self._on_event = on_event
        self._backoff = backoff
        # Re-entrant: a signal handler may kill while its own thread is inside `terminate`.
        self._lock = threading.RLock()
        self._run: Run | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._settled = threading.Event()
        self._failure: StackError | None = None
        self._thread = threading.Thread(target=self._keep, name=f"{part.name}-keeper", daemon=True)

    @property
    def ready_pid(self) -> int | None:
        """Its process id, if it was ready when last looked at and has not been seen to die."""
        run = self._run
        return run.pid if run is not None and self._ready.is_set() else None

    def start(self) -> None:
        """Start the part, without waiting for it."""
        self._thread.start()

    def wait_ready(self, timeout_s: float, *, cancelled: threading.Event) -> None:
        """Wait until the part was ready once; StackError when it failed or took too long."""
        deadline = time.monotonic() + timeout_s
        while not self._settled.wait(_CANCELLED_WITHIN_S):
            if cancelled.is_set():
                raise StackError(f"stopped before {self.part.name} was ready")
            if time.monotonic() > deadline:
                raise self._error(f"was not ready after {timeout_s:g} s")
        if self._failure is not None:
            raise self._failure

    def terminate(self) -> None:
        """Ask the part to end, and do not start it again."""
        with self._lock:
            self._stopping.set()
            if self._run is not None:
                self._run.terminate()

    def kill(self) -> None:
        """End the part now, and do not start it again."""
        with self._lock:
            self._stopping.set()
            if self._run is not None:
                self._run.kill()

    def ended_within(self, timeout_s: float) -> bool:
        """Wait for the end of a part that was terminated or killed."""
        if self._thread.ident is not None:
            self._thread.join(max(timeout_s, 0.0))
            if self._thread.is_alive():
                return False
        self._log.close()
        return True

    def _keep(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            ending, pid = self._run_once()
            self._ready.clear()
            if self._stopping.is_set():
                self._tell("stopped", detail=ending, pid=pid)
                return
            self._tell("died", detail=ending, pid=pid)
            if not self._settled.is_set():
                self._fail(self._error(f"ended with {ending} before it was ready"))
            if self._failure is not None:
                return
            delay_s = self._backoff.delay_s(time.monotonic() - started)
            self._tell("restarting", delay_s=delay_s)
            self._stopping.wait(delay_s)

    def _hear(self, line: str) -> None:
        if heard := self.part.hear(line):
            self._tell(heard.kind, detail=heard.detail)

    def _run_once(self) -> tuple[str, int | None]:
        """Run the part until it ends: how it ended, and its process id."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "not started", None
                run = self._run = Run(self.part, self._log, self._hear)
        except OSError as error:
            return f"no start ({error})", None
        self._tell("started", pid=run.pid)
        try:
            if self._becomes_ready(run):
                self._ready.set()
                self._tell("ready", pid=run.pid)
                self._settled.set()
        except StackError as error:
            self._fail(error)
            run.kill()
        run.ended_within(None)
        return run.ending(), run.pid

    def _becomes_ready(self, run: Run) -> bool:
        """Look until the part is ready, ever less often; False when it ended or has to stop."""
        pause_s = _FIRST_PROBE_S
        while not self._stopping.is_set():
            if self.part.ready():
                return True
            if run.ended_within(pause_s):
                return False
            pause_s = min(pause_s * 1.3, _LONGEST_PROBE_S)
        return False

    def _fail(self, error: StackError) -> None:
        self._failure = error
        self._settled.set()

    def _error(self, what: str) -> StackError:
        lines = self._log.last_lines()
        said = f": {lines[-1]}" if lines else ""
        return StackError(
            f"{self.part.name} {what}{said} (log: {self._log.path})", last_lines=lines
        )

    def _tell(
        self, kind: Kind, *, detail: str = "", pid: int | None = None, delay_s: float | None = None
    ) -> None:
        self._on_event(Event(kind, self.part.name, detail=detail, pid=pid, delay_s=delay_s))
