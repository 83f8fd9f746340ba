"""What a part prints: to a file of bounded size, and its end in memory for error messages."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 64 * 1024
_REMEMBERED_BYTES = 16 * 1024


class PartLog:
    """`<part>.log`, moved to `.log.1` … `.log.<backups>` whenever it would exceed `max_bytes`."""

    def __init__(self, path: Path, *, max_bytes: int = 8 * 1024 * 1024, backups: int = 2) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._lock = threading.Lock()
        self._remembered: deque[bytes] = deque()
        self._remembered_bytes = 0
        self._file: FileIO | None = None

    def read_all(self, stream: IO[bytes], on_line: Callable[[str], None]) -> None:
        """Take everything from an unbuffered pipe until it ends, line by line, and close it."""
        begun = b""
        with stream:
            while chunk := stream.read(_CHUNK_BYTES):
                self.write(chunk)
                *lines, begun = (begun + chunk).split(b"\n")
                begun = begun[:_CHUNK_BYTES]
                for line in lines:
                    on_line(line.decode(errors="replace"))

    def write(self, chunk: bytes) -> None:
        """Append bytes; a full disk loses the line, never the part that printed it."""
        with self._lock:
            self._remember(chunk)
            with contextlib.suppress(OSError):
                self._append(chunk)

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of what was printed, without empty lines."""
        with self._lock:
            text = b"".join(self._remembered).decode(errors="replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        with self._lock:
            self._close()

    def _remember(self, chunk: bytes) -> None:
        self._remembered.append(chunk)
        self._remembered_bytes += len(chunk)
        while self._remembered_bytes - len(self._remembered[0]) >= _REMEMBERED_BYTES:
            self._remembered_bytes -= len(self._remembered.popleft())

    def _append(self, chunk: bytes) -> None:
        if self._file is None:
            self._file = FileIO(self.path, "ab")
        if self._file.tell() and self._file.tell() + len(chunk) > self._max_bytes:
            self._close()
            self._rotate()
            self._file = FileIO(self.path, "ab")
        self._file.write(chunk)

    def _rotate(self) -> None:
        files = [self.path, *(Path(f"{self.path}.{n + 1}") for n in range(self._backups))]
        for older, newer in zip(reversed(files), reversed(files[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
