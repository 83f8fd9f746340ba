"""Requests out, replies in, each to its own caller, over a queue in memory."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest
from convnest_server.dispatcher import Dispatcher, Picture
from convnest_server.errors import DeadlinePassed, ModelUnavailable, Overloaded
from convnest_store.errors import Unavailable
from convnest_store.inference import Content, InferenceQueue, QueueLimits, Reply, Request, Status

MODEL = "m:1"


class Queue:
    """Answers each request with its own body, as far as `answers` allows."""

    def __init__(self, *, room: int = 1000, answers: int = 1000) -> None:
        self.pushed: list[Request] = []
        self.forgotten: dict[bytes, int] = {}
        self.is_away = False
        self._room, self._answers = room, answers
        self._replies: queue.Queue[bytes] = queue.Queue()

    def push(self, model: str, requests: Sequence[bytes], limits: QueueLimits) -> int:
        self._check()
        taken = [Request.unpack(data) for data in requests[: self._room - len(self.pushed)]]
        self.pushed += taken
        for request in reversed(taken):  # in another order than they were asked in
            if self._answers > 0:
                self._answers -= 1
                self.reply(Reply(request.id, Status.OK, request.body))
        return len(taken)

    def reply(self, *replies: Reply) -> None:
        self._replies.put(b"".join(reply.pack() for reply in replies))

    def receive(self, server: bytes, *, timeout_s: float, at_most: int = 256) -> list[bytes]:
        self._check()
        with suppress(queue.Empty):
            return [self._replies.get(timeout=0.05)]
        return []

    def forget(self, callers: Mapping[bytes, int]) -> None:
        self._check()
        self.forgotten.update(callers)

    def now_ms(self) -> int:
        self._check()
        return round(time.time() * 1000)

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("the queue Redis does not answer")


def run(
    queue: Queue,
    scenario: Callable[[Dispatcher], Coroutine[Any, Any, None]],
    *,
    max_pending: int = 100,
    max_pending_bytes: int = 10**6,
) -> None:
    async def main() -> None:
        connection = cast(InferenceQueue, queue)
        dispatcher = Dispatcher(
            sender=connection,
            receiver=connection,
            limits=QueueLimits(),
            max_pending=max_pending,
            max_pending_bytes=max_pending_bytes,
        )
        try:
            await asyncio.wait_for(scenario(dispatcher), 20)
        finally:
            await asyncio.to_thread(dispatcher.close)

    asyncio.run(main())


def pictures(*bodies: bytes) -> list[Picture]:
    return [Picture(Content.ENCODED, (0, 0, 0), body) for body in bodies]


async def asked(dispatcher: Dispatcher, *bodies: bytes, timeout_s: float = 10) -> list[bytes]:
    replies = await dispatcher.ask(MODEL, pictures(*bodies), timeout_s=timeout_s)
    return [reply.body for reply in replies]


def test_each_caller_gets_its_own_answers_in_its_order() -> None:
    async def scenario(dispatcher: Dispatcher) -> None:
        bodies = [[f"{call} {image}".encode() for image in range(3)] for call in range(20)]
        assert await asyncio.gather(*(asked(dispatcher, *own) for own in bodies)) == bodies

    run(Queue(), scenario)


def test_a_full_queue_is_told_with_a_hint_and_the_others_are_answered() -> None:
    async def scenario(dispatcher: Dispatcher) -> None:
        assert await asked(dispatcher, b"1", b"2") == [b"1", b"2"]
        with pytest.raises(Overloaded, match="the queue is full") as caught:
            await asked(dispatcher, b"3", b"4")
        assert caught.value.retry_after_s > 0

    run(Queue(room=3), scenario)


def test_a_server_holds_so_many_and_not_more() -> None:
    async def scenario(dispatcher: Dispatcher) -> None:
        waiting = asyncio.create_task(asked(dispatcher, b"1" * 60, b"2" * 60))
        await asyncio.sleep(0)
        for too_many in ((b"3", b"4"), (b"5" * 900,)):
            with pytest.raises(Overloaded, match="may wait"):
                await asked(dispatcher, *too_many)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # Nothing of them is held any more.
        with pytest.raises(DeadlinePassed):
            await asked(dispatcher, b"6", b"7", b"8", timeout_s=0.05)

    run(Queue(answers=0), scenario, max_pending=3, max_pending_bytes=1000)


def test_who_waits_in_vain_is_told_at_the_deadline() -> None:
    async def scenario(dispatcher: Dispatcher) -> None:
        with pytest.raises(DeadlinePassed, match=r"no answer from m:1 within 0\.05 s"):
            await asked(dispatcher, b"1", timeout_s=0.05)

    run(Queue(answers=0), scenario)


def test_who_goes_is_forgotten_in_the_queue() -> None:
    queue = Queue(answers=0)

    async def scenario(dispatcher: Dispatcher) -> None:
        waiting = asyncio.create_task(asked(dispatcher, b"1"))
        while not queue.pushed:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while not queue.forgotten:
            await asyncio.sleep(0)

    run(queue, scenario)
    assert list(queue.forgotten.values()) == [queue.pushed[0].deadline_ms]


def test_the_first_reply_wins_and_one_to_nobody_is_dropped() -> None:
    queue = Queue(answers=0)

    async def scenario(dispatcher: Dispatcher) -> None:
        waiting = asyncio.create_task(asked(dispatcher, b"1"))
        while not queue.pushed:
            await asyncio.sleep(0)
        number = queue.pushed[0].id
        queue.reply(Reply(999, Status.OK, b"nobody's"))
        queue.reply(Reply(number, Status.OK, b"first"), Reply(number, Status.POISON, b"second"))
        assert await waiting == [b"first"]

    run(queue, scenario)


def test_who_waits_as_the_server_stops_is_told() -> None:
    queue = Queue(answers=0)

    async def scenario(dispatcher: Dispatcher) -> None:
        waiting = asyncio.create_task(asked(dispatcher, b"1"))
        while not queue.pushed:
            await asyncio.sleep(0)
        await asyncio.to_thread(dispatcher.close)
        with pytest.raises(ModelUnavailable, match="stopping"):
            await waiting

    run(queue, scenario)


def test_a_queue_that_is_away_is_told() -> None:
    queue = Queue()
    queue.is_away = True

    async def scenario(dispatcher: Dispatcher) -> None:
        with pytest.raises(Unavailable):
            await asked(dispatcher, b"1")

    run(queue, scenario)
