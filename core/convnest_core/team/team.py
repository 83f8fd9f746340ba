"""`Team`: one program in several processes that share memory."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Literal

from convnest_core.checks import integer
from convnest_core.errors import TeamError
from convnest_core.kernels import kernel_set
from convnest_core.process import single_blas_thread

from .children import may_fork, signal_name
from .cores import available_cores
from .crew import END_WITHIN_S, Crew
from .line import WORDS_BYTES, PeerGoneError, line_to
from .member import Member
from .work import Letter, imported, words_of

Start = Literal["fork", "spawn"]

MAX_PROCESSES = 256
_SPIN_NS = 100_000  # what going to sleep and waking up cost on an idle machine


class Team:
    """`processes` members, each with an instance of one program; this process is the first member.

    `program` names a class (`package.module:Class`) that is constructed as
    `Class(member, **arguments)` in every process; arguments are plain JSON. `run(operation)` calls
    that method in all members at once. In between the others sleep.

    `start` says how the other processes are made (by default forked where that is safe, else
    spawned); `spin` whether members spin a little before they sleep (by default while there are
    cores for all of them). BLAS has one thread in each process until the team is closed. All
    compute with the set of kernels that this process had chosen when the team began.

    A member that ends or raises makes the call under way raise TeamError within a tenth of a
    second, and closes the team. When this process ends, however it ends, so do the others. Threads
    may share a team; their calls take turns.
    """

    def __init__(
        self,
        processes: int,
        program: str,
        arguments: Mapping[str, Any],
        *,
        start: Start | None = None,
        spin: bool | None = None,
    ) -> None:
        self.processes = integer("processes", processes, least=1, most=MAX_PROCESSES)
        self.program: Any = None  # this member's instance; None once the team is closed
        self._letter: Letter | None = None
        self._lock = threading.RLock()
        if start == "fork" and not may_fork():
            raise TeamError("a team cannot fork here: the process has several threads")
        forked = start == "fork" or processes == 1 or (start is None and may_fork())
        self._crew = Crew(forked=forked)
        self._dismiss = weakref.finalize(self, self._crew.dismiss)
        try:
            self._crew.resources.enter_context(single_blas_thread())
            self._recruit(program, arguments, spin)
        except PeerGoneError as gone:
            raise self._failed(gone) from None
        except BaseException:
            self.close()
            raise

    def run(self, operation: str, **arguments: Any) -> Any:  # what the program returns here
        """Call the program's method in every member; returns what it returns in this one.

        Arguments are plain JSON; arrays travel in arrays that the program shares.
        Raises TeamError, and what the method raises here. After either the team is closed.
        """
        with self._lock:
            if self._letter is None:
                raise TeamError("the team is closed")
            self._letter.write([operation, arguments])
            try:
                for line in self._crew.lines:
                    line.signal()
                result = getattr(self.program, operation)(**arguments)
                self._crew.wait_for_all()
            except PeerGoneError as gone:
                raise self._failed(gone) from None
            except BaseException:
                self.close()
                raise
            return result

    def close(self) -> None:
        """End the other processes, after the call under way. A second time it does nothing.

        Shared arrays live on for those who hold them.
        """
        with self._lock:
            self._dismiss()
            self.program = self._letter = None

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the members, this one first."""
        return (os.getpid(), *(child.pid for child in self._crew.children))

    def _recruit(self, program: str, arguments: Mapping[str, Any], spin: bool | None) -> None:
        crew, size, take = self._crew, self.processes, self._crew.memory.take
        spin_ns = _spin_ns(size, spin)
        begin = json.dumps(
            {
                "processes": size,
                "program": program,
                "arguments": dict(arguments),
                "spin_ns": spin_ns,
                "kernels": kernel_set(),
            }
        ).encode()
        # Members take the same blocks in the same order: see `enlist`.
        take(len(begin))[:] = begin
        words = take(size * WORDS_BYTES)
        self._letter = Letter(take(Letter.SIZE_BYTES))
        ends = {}
        for rank in range(1, size):
            own, ends[rank] = socket.socketpair()
            crew.lines.append(line_to(rank, own, words_of(words, rank), spin_ns=spin_ns))
        member = Member(0, size, lines=crew.lines, take=take, look_around=crew.look_around)
        self.program = imported(program)(member, **arguments)
        crew.start(ends)
        crew.wait_for_all()

    def _failed(self, gone: PeerGoneError) -> TeamError:
        child = self._crew.children[gone.rank - 1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(END_WITHIN_S)
        status = child.poll()
        self.close()
        killer = None if status is None else signal_name(status)
        how = f"was killed by {killer}" if killer else f"ended with status {status}"
        return TeamError(
            f"member {gone.rank} of a team of {self.processes} (process {child.pid}) "
            f"{'raised an exception:' if gone.text else how}",
            rank=gone.rank,
            pid=child.pid,
            signal=killer,
            traceback=gone.text,
        )


def _spin_ns(processes: int, spin: bool | None) -> int | None:
    """How long to spin; None where the CPU's memory ordering does not allow flags."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i686", "i386"):
        return None
    if spin is None:
        spin = processes <= available_cores()
    return _SPIN_NS if spin else 0
