"""The server's side of the inference queue: requests out, replies in, each to its own caller.

Two threads own the two connections. All requests of a moment go out in one script call a model;
all replies that lie ready come in together. What has no answer yet is kept here, and sent again
when the queue Redis comes back empty: the first reply wins.
"""

import asyncio
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec

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

_OUTAGE_S = 1.5
_RECEIVE_S = 1.0
_RETRY_S = 0.1
_CLOCK_EVERY_S = 10.0
_RETRY_AFTER_S = 1.0

P = ParamSpec("P")

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
    ) -> None:
        """sender, receiver: the queue over a connection each, for a thread each."""
        self._sender, self._receiver, self._limits = sender, receiver, limits
        self._max_pending = max_pending
        self._loop = asyncio.get_running_loop()
        self._server = secrets.token_bytes(16)
        self._next_id = 0
        self._pending: dict[int, _Pending] = {}
        # Redis' clock is the one that deadlines are written in.
        self._clock_offset_ms = time.time() * 1000 - time.monotonic() * 1000
        self._outbox: deque[int] = deque()
        self._gone: deque[int] = deque()
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
        if len(self._pending) + len(pictures) > self._max_pending:
            raise Overloaded(
                f"this server holds {len(self._pending)} images already; "
                f"at most {self._max_pending} may wait",
                retry_after_s=_RETRY_AFTER_S,
            )
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

    def _enter(self, model: str, picture: Picture, deadline_ms: int) -> int:
        number = self._next_id
        self._next_id += 1
        request = Request(
            self._server, number, deadline_ms, picture.content, picture.shape, picture.body
        )
        self._pending[number] = _Pending(model, request.pack(), self._loop.create_future())
        return number

    def _leave(self, ids: Iterable[int]) -> None:
        unanswered = [number for number in ids if self._forget(number)]
        if unanswered:
            self._gone.extend(unanswered)
            self._work.set()

    def _forget(self, number: int) -> bool:
        """Whether the request had no answer."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return False
        if pending.answer.done() and not pending.answer.cancelled():
            # Retrieved, so that asyncio does not report it as never read.
            pending.answer.exception()
            return False
        pending.answer.cancel()
        return True

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

    # The threads.

    def _send(self) -> None:
        clock_read = 0.0
        while True:
            self._work.wait()
            self._work.clear()
            if self._stopping.is_set():
                return
            batches: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
            for number in _drained(self._outbox):
                pending = self._pending.get(number)
                if pending is not None:
                    batches[pending.model].append((number, pending.packed))
            gone = _drained(self._gone)
            try:
                if time.monotonic() - clock_read > _CLOCK_EVERY_S:
                    self._read_clock()
                    clock_read = time.monotonic()
                for model, batch in batches.items():
                    self._push(model, batch)
                if gone:
                    self._sender.forget([caller_key(self._server, n) for n in gone])
            except Unavailable as error:
                ids = [number for batch in batches.values() for number, _ in batch]
                self._tell(self._fail, ids, error)

    def _push(self, model: str, batch: Sequence[tuple[int, bytes]]) -> None:
        taken = self._sender.push(model, [packed for _, packed in batch], self._limits)
        if taken < len(batch):
            full = Overloaded(
                f"{model}: the queue is full ({self._limits.requests} images or "
                f"{self._limits.size_bytes:,} bytes)",
                retry_after_s=_RETRY_AFTER_S,
            )
            self._tell(self._fail, [number for number, _ in batch[taken:]], full)

    def _read_clock(self) -> None:
        self._clock_offset_ms = self._sender.now_ms() - time.monotonic() * 1000

    def _receive(self) -> None:
        away_since: float | None = None
        while not self._stopping.is_set():
            try:
                messages = self._receiver.receive(self._server, timeout_s=_RECEIVE_S)
            except Unavailable as error:
                now = time.monotonic()
                away_since = away_since or now
                if now - away_since > _OUTAGE_S:
                    self._tell(self._fail_everything, error)
                self._stopping.wait(_RETRY_S)
                continue
            if away_since is not None:
                away_since = None
                self._tell(self._send_all_again)
            if messages:
                self._tell(
                    self._deliver, [reply for data in messages for reply in unpack_replies(data)]
                )

    def _fail_everything(self, error: Exception) -> None:
        self._fail(list(self._pending), error)

    def _tell(self, callback: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(partial(callback, *args, **kwargs))


def _drained(items: deque[int]) -> list[int]:
    return [items.popleft() for _ in range(len(items))]
