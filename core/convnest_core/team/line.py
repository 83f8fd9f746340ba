"""How the first member of a team and another one signal to each other.

Two forms with the same meaning: each `wait` ends when the peer has sent one more `signal`, and sees
all that the peer wrote before. `FlagLine` counts in shared memory; a waiter spins for as long as
going to sleep would cost, longer where that paid lately, then sleeps on a socket. That needs the
memory ordering of x86 (stores become visible in their order, loads are not moved before earlier
loads). `TokenLine` is right on any CPU: every signal is a byte through the kernel, whose locks
order memory.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

WORDS_BYTES = 256  # of shared memory for one line

_RING = b"\0"  # any other byte begins the text of an exception
_LOOK_AROUND_MS = 100
# Places in a line's words, a cache line of 64 bytes apart: for each side its count of signals,
# and whether it sleeps.
_COUNT, _ASLEEP = (0, 16), (8, 24)

# A wait that ended in time lets the next one spin twice as long, up to so many times `spin_ns`; one
# in vain halves that. Where the shortest was in vain, the peer has no core now, or more to do: the
# next waits just sleep.
_LONGEST = 16
_UNSPUN = 8

# Taking a lock is an atomic instruction, and so a full fence on x86.
_fence = threading.Lock()


class PeerGoneError(Exception):
    """The member `rank` ended. `text` is the traceback it left, if any."""

    def __init__(self, rank: int, text: str = "") -> None:
        self.rank, self.text = rank, text
        super().__init__(rank, text)


class Line(ABC):
    """One end of the line between the first member and another one; `peer` is the other's rank."""

    def __init__(self, end: socket.socket, *, peer: int) -> None:
        self._end, self._peer = end, peer
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    @abstractmethod
    def signal(self) -> None:
        """Let the peer's next `wait` end. Raises PeerGoneError."""

    @abstractmethod
    def wait(self, look_around: Callable[[], None]) -> None:
        """Wait for the peer's next `signal`. Raises PeerGoneError.

        `look_around` is called every tenth of a second of a long wait, and may raise.
        """

    def leave(self, text: str) -> None:
        """Tell the peer why this side ends."""
        self._end.sendall(text.encode() or b"?")

    def last_words(self) -> str:
        """What a peer left that has ended."""
        try:
            while self._poll.poll(0):
                self._rest(lambda: None)
        except PeerGoneError as gone:
            return gone.text
        return ""

    def close(self) -> None:
        self._end.close()

    def _ring(self) -> None:
        try:
            self._end.send(_RING)
        except OSError:
            raise PeerGoneError(self._peer, self.last_words()) from None

    def _rest(self, look_around: Callable[[], None]) -> None:
        """Sleep until the peer rings."""
        while not self._poll.poll(_LOOK_AROUND_MS):
            look_around()
        try:
            first = self._end.recv(1)
            if first == _RING:
                return
            parts = [first]
            while parts[-1]:
                parts.append(self._end.recv(1 << 16))
        except OSError:  # reset: the peer was killed with our rings unread
            parts = []
        raise PeerGoneError(self._peer, b"".join(parts).decode(errors="replace"))


class FlagLine(Line):
    """Counts in shared memory, for x86."""

    def __init__(self, end: socket.socket, words: memoryview, *, peer: int, spin_ns: int) -> None:
        super().__init__(end, peer=peer)
        self._words = words
        side = 0 if peer else 1
        self._own, self._peers = _COUNT[side], _COUNT[1 - side]
        self._asleep, self._peer_asleep = _ASLEEP[side], _ASLEEP[1 - side]
        self._spin_ns = self._patience_ns = spin_ns
        self._sent = self._heard = 0
        self._unspun = 0

    def signal(self) -> None:
        self._sent += 1
        self._words[self._own] = self._sent
        with _fence:  # the peer sees the count, or this side sees it asleep
            pass
        if self._words[self._peer_asleep]:
            self._ring()

    def wait(self, look_around: Callable[[], None]) -> None:
        self._heard += 1
        if self._spun():
            return
        self._words[self._asleep] = 1
        with _fence:
            pass
        while self._words[self._peers] < self._heard:
            self._rest(look_around)
        self._words[self._asleep] = 0

    def _spun(self) -> bool:
        words, place, count = self._words, self._peers, self._heard
        if words[place] >= count:
            return True
        if self._unspun:
            self._unspun -= 1
            return False
        patience_ns = self._patience_ns
        end = time.perf_counter_ns() + patience_ns
        while time.perf_counter_ns() < end:
            if words[place] >= count:
                self._patience_ns = min(2 * patience_ns, _LONGEST * self._spin_ns)
                return True
        if patience_ns == self._spin_ns:
            self._unspun = _UNSPUN
        self._patience_ns = max(patience_ns // 2, self._spin_ns)
        return False


class TokenLine(Line):
    """A byte for each signal, for any CPU."""

    def signal(self) -> None:
        self._ring()

    def wait(self, look_around: Callable[[], None]) -> None:
        self._rest(look_around)


def line_to(peer: int, end: socket.socket, words: memoryview, *, spin_ns: int | None) -> Line:
    """The line's end towards `peer`; `words` are its own. `spin_ns` None makes a `TokenLine`."""
    if spin_ns is None:
        return TokenLine(end, peer=peer)
    return FlagLine(end, words, peer=peer, spin_ns=spin_ns)
