"""What a member other than the first does: build its program, then run what it is told to."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import traceback
from mmap import mmap
from typing import Any, NoReturn

from convnest_core.errors import CoreError
from convnest_core.kernels import use_kernels
from convnest_core.process import keep_freed_memory, single_blas_thread

from .line import WORDS_BYTES, Line, PeerGoneError, line_to
from .member import Member
from .memory import Take

_LENGTH = struct.Struct("<q")


class Letter:
    """JSON in shared memory, from the first member to all others."""

    SIZE_BYTES = 1 << 16

    def __init__(self, block: mmap) -> None:
        self._block = block

    def write(self, value: object) -> None:
        text = json.dumps(value).encode()
        if len(text) > len(self._block) - _LENGTH.size:
            raise CoreError(f"a team's message may have 64 KiB, got {len(text):,} bytes")
        self._block[: _LENGTH.size] = _LENGTH.pack(len(text))
        self._block[_LENGTH.size : _LENGTH.size + len(text)] = text

    def read(self) -> Any:  # JSON
        (length,) = _LENGTH.unpack(self._block[: _LENGTH.size])
        return json.loads(self._block[_LENGTH.size : _LENGTH.size + length])


def imported(name: str) -> Any:  # whatever bears that name
    """What `package.module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def enlist(rank: int, end: socket.socket, *, tether: int, take: Take) -> NoReturn:
    """Be the member `rank` until the first member is gone; then, or after an error, end.

    `end` is this side of the line to the first member. `tether` is the reading end of a pipe that
    the first member's process holds open: its end means the parent's, whatever goes on here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    threading.Thread(target=_end_with, args=(tether,), daemon=True).start()
    begin = json.loads(take(1)[:])
    words = words_of(take(1), rank)
    letter = Letter(take(1))
    line = line_to(0, end, words, spin_ns=begin["spin_ns"])
    status = 0
    try:
        single_blas_thread()
        keep_freed_memory()
        use_kernels(begin["kernels"])
        member = Member(rank, begin["processes"], lines=[line], take=take)
        program = imported(begin["program"])(member, **begin["arguments"])
        _serve(program, line, letter)
    except PeerGoneError:
        pass
    except BaseException:  # noqa: BLE001 # a process's edge: the parent raises it
        status = 1
        _leave(line, traceback.format_exc())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def words_of(block: mmap, rank: int) -> memoryview:
    """The words of the line to member `rank`, as 64-bit integers."""
    return memoryview(block)[(rank - 1) * WORDS_BYTES : rank * WORDS_BYTES].cast("q")


def _serve(program: Any, line: Line, letter: Letter) -> None:
    """`program` is any object with methods that take JSON arguments."""
    line.signal()
    while True:
        line.wait(lambda: None)
        operation, arguments = letter.read()
        getattr(program, operation)(**arguments)
        line.signal()


def _leave(line: Line, text: str) -> None:
    try:
        line.leave(text)
    except OSError:
        print(text, file=sys.stderr)


def _end_with(tether: int) -> None:
    os.read(tether, 1)
    os._exit(0)
