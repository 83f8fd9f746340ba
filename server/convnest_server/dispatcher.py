"""The server's side of the inference queue: requests out, replies in, each to its own caller.

Two threads own the two connections. All requests of a moment go out in one script call a model;
all replies that lie ready come in together. What has no answer yet is kept here, and sent again
when the queue Redis was away for a moment and may have come back empty: the first reply wins.
Once it has been away for longer, all that wait are told so, and so is each caller that comes.
"""

import asyncio
import secrets
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from convnest_store.errors import Unavailable
from convnest_store.inference import (
    Content,
    InferenceQueue,
    QueueLimits,
    Reply,
    Request,
    caller_key,
    unpack_replies,
)

from convnest_server.errors import DeadlinePassed, ModelUnavailable, Overloaded

#: A restart of Redis takes less; a caller must be told within two seconds.
_OUTAGE_S = 1.5
#: The receiving connection gives up after RECEIVING_TIMEOUT_S: how soon a silent Redis is noticed.
_RECEIVE_S = 0.5
RECEIVING_TIMEOUT_S = 1.3
_RETRY_S = 0.1
_CLOCK_EVERY_S = 10.0
_RETRY_AFTER_S = 1.0
#: Most that one script call carries: Redis does nothing else meanwhile.
_PUSH_REQUESTS = 500
_PUSH_BYTES = 8 * 2**20

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a call, as the queue takes it."""

    content: Content
    shape: tuple[int, int, int]
    body: bytes


@dataclass(slots=True)
class _Pending:
    model: str
    packed: bytes
    deadline_ms: int
    answer: asyncio.Future[Reply]


class Dispatcher:
    """Asks model instances, wherever they run. Made and used on the event loop."""

    def __init__(
        self,
        *,
        sender: InferenceQueue,
        receiver: InferenceQueue,
        limits: QueueLimits,
        max_pending: int,
        max_pending_bytes: int,
    ) -> None:
        """sender, receiver: the queue over a connection each, for a thread each."""
        self._sender, self._receiver, self._limits = sender, receiver, limits
        self._max_pending, self._max_pending_bytes = max_pending, max_pending_bytes
        self._loop = asyncio.get_running_loop()
        self._server = secrets.token_bytes(16)
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}
        self._pending_bytes = 0
        self._outage: Unavailable | None = None
        # Redis' clock is the one that deadlines are written in.
        self._clock_offset_ms = time.time() * 1000 - time.monotonic() * 1000
        self._outbox: deque[int] = deque()
        self._gone: deque[tuple[int, int]] = deque()
        self._work, self._stopping = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._send, name="requests", daemon=True),
            threading.Thread(target=self._receive, name="replies", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the threads; whoever still waits gets Unavailable."""
        self._stopping.set()
        self._work.set()
        for thread in self._threads:
            thread.join(timeout=_RECEIVE_S + 1)
        self._fail(list(self._pending), ModelUnavailable("the server is stopping"))

    async def ask(
        self, model: str, pictures: Sequence[Picture], *, timeout_s: float
    ) -> list[Reply]:
        """One reply for each picture, in order.

        Raises Overloaded, Unavailable (the queue Redis is away), DeadlinePassed.
        """
        if self._outage is not None:
            raise Unavailable(str(self._outage))
        self._check_room(pictures)
        deadline_ms = round(time.monotonic() * 1000 + self._clock_offset_ms + timeout_s * 1000)
        ids = [self._enter(model, picture, deadline_ms) for picture in pictures]
        answers = [self._pending[number].answer for number in ids]
        self._outbox.extend(ids)
        self._work.set()
        try:
            async with asyncio.timeout(timeout_s):
                return list(await asyncio.gather(*answers))
        except TimeoutError as error:
            raise DeadlinePassed(f"no answer from {model} within {timeout_s:.3g} s") from error
        finally:
            self._leave(ids)

    def _check_room(self, pictures: Sequence[Picture]) -> None:
        count, size = len(self._pending), self._pending_bytes
        size_new = sum(len(picture.body) for picture in pictures)
        if (
            count + len(pictures) > self._max_pending
            # A call that is alone may be as large as a message may be.
            or (count > 0 and size + size_new > self._max_pending_bytes)
        ):
            raise Overloaded(
                f"this server holds {count} images of {size:,} bytes already; "
                f"at most {self._max_pending} of {self._max_pending_bytes:,} bytes may wait",
                retry_after_s=_RETRY_AFTER_S,
            )

    def _enter(self, model: str, picture: Picture, deadline_ms: int) -> int:
        number = self._next_id
        self._next_id += 1
        request = Request(
            self._server, number, deadline_ms, picture.content, picture.shape, picture.body
        )
        packed = request.pack()
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._pending[number] = _Pending(model, packed, deadline_ms, answer)
        self._pending_bytes += len(packed)
        return number

    def _leave(self, ids: Iterable[int]) -> None:
        now_ms = time.monotonic() * 1000 + self._clock_offset_ms
        gone = []
        for number in ids:
            pending = self._pending.pop(number)
            self._pending_bytes -= len(pending.packed)
            if pending.answer.done() and not pending.answer.cancelled():
                # Retrieved, so that asyncio does not report it as never read.
                pending.answer.exception()
                continue
            pending.answer.cancel()
            # Past its deadline a request is dropped in any case.
            if pending.deadline_ms > now_ms:
                gone.append((number, pending.deadline_ms))
        if gone:
            self._gone.extend(gone)
            self._work.set()

    # On the event loop, told by the threads.

    def _deliver(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            pending = self._pending.get(reply.id)
            if pending is not None and not pending.answer.done():
                pending.answer.set_result(reply)

    def _fail(self, ids: Sequence[int], error: Exception) -> None:
        for number in ids:
            pending = self._pending.get(number)
            if pending is not None and not pending.answer.done():
                pending.answer.set_exception(error)

    def _send_all_again(self) -> None:
        waiting = [n for n, pending in self._pending.items() if not pending.answer.done()]
        if waiting:
            log.info("requests sent again", count=len(waiting))
            self._outbox.extend(waiting)
            self._work.set()

    def _begin_outage(self, error: Unavailable) -> None:
        self._outage = error
        self._fail(list(self._pending), error)

    def _end_outage(self) -> None:
        self._outage = None
        self._send_all_again()

    # The threads.

    def _send(self) -> None:
        clock_read = 0.0
        failing_since: float | None = None
        while True:
            self._work.wait()
            self._work.clear()
            if self._stopping.is_set():
                return
            numbers = _drained(self._outbox)
            try:
                if time.monotonic() - clock_read > _CLOCK_EVERY_S:
                    self._read_clock()
                    clock_read = time.monotonic()
                self._push(numbers)
                self._tell_gone()
                failing_since = None
            except Unavailable as error:
                now = time.monotonic()
                failing_since = failing_since or now
                if now - failing_since > _OUTAGE_S:
                    self._tell(self._fail, numbers, error)
                else:
                    # What went through already goes again; the first reply wins.
                    self._outbox.extendleft(reversed(numbers))
                self._stopping.wait(_RETRY_S)
                self._work.set()
            except Exception as error:  # the edge of the thread
                log.exception("requests not sent")
                self._tell(self._fail, numbers, error)

    def _push(self, numbers: Iterable[int]) -> None:
        by_model: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for number in numbers:
            pending = self._pending.get(number)
            if pending is not None:
                by_model[pending.model].append((number, pending.packed))
        for model, batch in by_model.items():
            for part in _parts(batch):
                self._push_part(model, part)

    def _push_part(self, model: str, part: Sequence[tuple[int, bytes]]) -> None:
        taken = self._sender.push(model, [packed for _, packed in part], self._limits)
        if taken < len(part):
            full = Overloaded(
                f"{model}: the queue is full ({self._limits.requests} images or "
                f"{self._limits.size_bytes:,} bytes)",
                retry_after_s=_RETRY_AFTER_S,
            )
            self._tell(self._fail, [number for number, _ in part[taken:]], full)

    def _tell_gone(self) -> None:
        gone = _drained(self._gone)
        if gone:
            self._sender.forget({caller_key(self._server, n): ms for n, ms in gone})

    def _read_clock(self) -> None:
        self._clock_offset_ms = self._sender.now_ms() - time.monotonic() * 1000

    def _receive(self) -> None:
        away_since: float | None = None
        while not self._stopping.is_set():
            asked = time.monotonic()
            try:
                messages = self._receiver.receive(self._server, timeout_s=_RECEIVE_S)
            except Unavailable as error:
                now = time.monotonic()
                away_since = away_since or now
                is_silent = now - asked >= RECEIVING_TIMEOUT_S
                if is_silent or now - away_since >= _OUTAGE_S:
                    self._tell(self._begin_outage, error)
                self._stopping.wait(_RETRY_S)
                continue
            if away_since is not None:
                away_since = None
                self._tell(self._end_outage)
            if messages:
                self._tell(self._deliver, list(_replies(messages)))

    def _tell(self, callback: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(partial(callback, *args, **kwargs))


def _parts(batch: Sequence[tuple[int, bytes]]) -> Iterator[Sequence[tuple[int, bytes]]]:
    """Pieces of which each is small enough for one script call."""
    part: list[tuple[int, bytes]] = []
    size = 0
    for number, packed in batch:
        if part and (len(part) == _PUSH_REQUESTS or size + len(packed) > _PUSH_BYTES):
            yield part
            part, size = [], 0
        part.append((number, packed))
        size += len(packed)
    if part:
        yield part


def _replies(messages: Iterable[bytes]) -> Iterator[Reply]:
    for message in messages:
        try:
            yield from unpack_replies(message)
        except (struct.error, ValueError):
            log.exception("a reply could not be read")


def _drained(items: deque[T]) -> list[T]:
    return [items.popleft() for _ in range(len(items))]
