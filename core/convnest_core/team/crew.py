"""The other members of a team as the first one sees them: started, watched, ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Mapping
from functools import partial

from .children import Child, fork, spawn
from .line import Line, PeerGoneError
from .memory import Memory
from .work import enlist

END_WITHIN_S = 1.0


class Crew:
    """The other members as the first one sees them: what has to end with the team."""

    def __init__(self, *, forked: bool) -> None:
        self.memory = Memory(by_descriptor=not forked)
        self.lines: list[Line] = []
        self.children: list[Child] = []
        self.resources = contextlib.ExitStack()
        self._forked = forked
        self._owner = os.getpid()

    def start(self, ends: Mapping[int, socket.socket]) -> None:
        """Start the member of each rank with its end of its line."""
        read_end, write_end = os.pipe()
        self.resources.callback(os.close, write_end)
        with contextlib.ExitStack() as passed:
            passed.callback(self.memory.close_descriptors)
            passed.callback(os.close, read_end)
            for end in ends.values():
                passed.enter_context(end)
            for rank, end in ends.items():
                if self._forked:
                    child: Child = fork(
                        partial(self._join, rank, ends, tether=(read_end, write_end))
                    )
                else:
                    descriptors = [end.fileno(), read_end, *self.memory.descriptors]
                    child = spawn([str(n) for n in (rank, *descriptors)], descriptors)
                self.children.append(child)

    def _join(
        self, rank: int, ends: Mapping[int, socket.socket], *, tether: tuple[int, int]
    ) -> None:
        """In a forked child: be the member `rank`, and hold nobody else's ends."""
        read_end, write_end = tether
        os.close(write_end)
        for line in self.lines:
            line.close()
        for other, end in ends.items():
            if other != rank:
                end.close()
        enlist(rank, ends[rank], tether=read_end, take=self.memory.again())

    def wait_for_all(self) -> None:
        """Wait for the next signal of every member. Raises PeerGoneError."""
        for line in self.lines:
            line.wait(self.look_around)

    def look_around(self) -> None:
        """Raises PeerGoneError if a member has ended."""
        for rank, child in enumerate(self.children, 1):
            if child.poll() is not None:
                raise PeerGoneError(rank, self.lines[rank - 1].last_words())

    def dismiss(self) -> None:
        """End all members and leave nothing of them."""
        if os.getpid() != self._owner:  # a copy of the owner, whose children are not its own
            return
        for line in self.lines:
            line.close()
        self.lines.clear()
        self.resources.close()  # lets go of the tether
        for child in self.children:
            try:
                child.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(END_WITHIN_S)
        self.memory.close_descriptors()
        self.memory.forget()
