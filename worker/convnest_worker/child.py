"""The parent's end of a child: starts the process, reads what it tells, keeps its last words."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

Message = dict[str, Any]  # a JSON object, see channel.py
_STDERR_BYTES = 4096
_MESSAGES = 1000
_LAST_WORDS_S = 5.0
_ENDED: Message = {}

log = structlog.get_logger(__name__)


class ChildProcess:
    """`python -m module`, told `begin`. Ends when told, when killed, or when we end.

    on_message: called in a reader's thread for each message, and at the end.
    """

    def __init__(
        self, module: str, begin: Message, *, on_message: Callable[[], None] = lambda: None
    ) -> None:
        self._on_message = on_message
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            bufsize=1,
            # The terminal's Ctrl-C is for the stack, which drains us.
            start_new_session=True,
        )
        self._stderr: deque[str] = deque(maxlen=40)
        self._messages: queue.Queue[Message] = queue.Queue(_MESSAGES)
        self._readers = [
            threading.Thread(target=self._read_messages, name="child-messages", daemon=True),
            threading.Thread(target=self._read_stderr, name="child-stderr", daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.send(begin)

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Tells the child something; one that has just ended does not hear it."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            log.debug("child ended before it was told", message=list(message))

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, None at the timeout; `{}` once there will be no more."""
        try:
            return self._messages.get(timeout=max(timeout_s, 0))
        except queue.Empty:
            return None

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def wait(self) -> int:
        """Its exit code once it has ended, negative for a signal; closes the pipes."""
        code = self._process.wait()
        deadline = time.monotonic() + _LAST_WORDS_S
        for reader in self._readers:
            while reader.is_alive() and time.monotonic() < deadline:
                if self._messages.full():
                    # Nobody asks for its last words: a reader must not wait for that for ever.
                    self._messages.get_nowait()
                reader.join(0.02)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe
            try:
                pipe.close()
            except BrokenPipeError:
                log.debug("child ended with unread words", pid=self.pid)
        return code

    @property
    def stderr_tail(self) -> str:
        """The last lines it wrote to stderr."""
        return "".join(self._stderr)[-_STDERR_BYTES:]

    def _read_messages(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                self._messages.put(json.loads(line))
            except ValueError:
                log.warning("a line from the child is no message", line=line[:200])
            self._on_message()
        self._messages.put(_ENDED)
        self._on_message()

    def _read_stderr(self) -> None:
        assert self._process.stderr
        while line := self._process.stderr.readline(_STDERR_BYTES):
            self._stderr.append(line)


def describe_exit(code: int) -> str:
    """ "exit code 1" or "signal 9 (SIGKILL)"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
