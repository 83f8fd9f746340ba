"""A child's end of its two pipes: JSON lines in on stdin, JSON lines out on stdout.

To a child: first what to do; then {"wish": "stop" | "cancel" | "checkpoint"} and answers.
From a slice: {"event": kind, "data": …}, {"alive": true}, {"checkpoint": …}, {"ask": …}, and last
one of {"done": …}, {"stopped": true}, {"failed": …}. From a model process: {"ready": true},
{"images": count}, or {"failed": …}. From the compiler of kernels: {"kernel": …, "done": …,
"total": …}, and last {"ready": true} or {"failed": …}.
"""

import json
import os
import queue
import sys
import threading
from typing import Any, NoReturn

Message = dict[str, Any]  # a JSON object: its fields depend on the message


class Stopped(Exception):
    """The parent asked the child to end."""


class Channel:
    """Sends from any thread; a thread of its own reads wishes, and ends the process at EOF."""

    def __init__(self, reading_fd: int, writing_fd: int) -> None:
        self._in = os.fdopen(reading_fd, "r", encoding="utf-8")
        self._out = os.fdopen(writing_fd, "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wish = ""

    @classmethod
    def adopt(cls) -> "Channel":
        """Takes stdin and stdout for itself; whatever prints from now on prints to stderr."""
        reading, writing = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        return cls(reading, writing)

    def receive_first(self) -> Message:
        """The first message: what to do. Afterwards wishes are read in a thread."""
        line = self._in.readline()
        if not line:
            self._end()
        threading.Thread(target=self._read, name="wishes", daemon=True).start()
        return dict(json.loads(line))

    @property
    def wish(self) -> str:
        """The parent's latest wish: "", "stop", "cancel" or "checkpoint"."""
        return self._wish

    def checkpoint_written(self) -> None:
        """The wish for a checkpoint is met."""
        if self._wish == "checkpoint":
            self._wish = ""

    def send(self, message: Message) -> None:
        """Writes one line."""
        line = json.dumps(message)
        with self._lock:
            self._out.write(line + "\n")

    def event(self, kind: str, data: Message) -> None:
        """Tells of something for the job's stream; "alive" is for the parent only."""
        self.send({"alive": True} if kind == "alive" else {"event": kind, "data": data})

    def ask(self, question: str, value: Any) -> Any:  # the answer's type is the question's
        """Asks the parent something only it may do; returns its answer."""
        self.send({"ask": question, "value": value})
        return self._answers.get()["answer"]

    def _read(self) -> None:
        for line in self._in:
            message = json.loads(line)
            if "answer" in message:
                self._answers.put(message)
            elif self._wish != "cancel":
                self._wish = message["wish"]
        self._end()

    def _end(self) -> NoReturn:
        # The parent is gone, and with it the right to write anything.
        sys.stderr.flush()
        os._exit(3)
