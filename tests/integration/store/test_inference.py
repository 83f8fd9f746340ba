"""Waiting requests: bounded, never only in a process, never poison to their neighbours."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import redis
from convnest_store.connection import connect
from convnest_store.errors import LeaseLost
from convnest_store.inference import (
    Content,
    InferenceQueue,
    QueueLimits,
    Reply,
    Request,
    Status,
    caller_key,
    unpack_replies,
)
from hypothesis import given
from hypothesis import strategies as st
from support.redis_server import RedisServer
from support.waiting import until

MODEL, SERVER = "m:1", b"a server's id 16"
ROOM = QueueLimits()
LATER_MS = 60_000
HEADER_BYTES = 48


class Line:
    """A queue with an instance that serves it."""

    def __init__(self, queue: InferenceQueue) -> None:
        self.queue = queue

    def request(self, number: int, body: bytes = b"x", *, lives_ms: int = LATER_MS) -> bytes:
        deadline_ms = self.queue.now_ms() + lives_ms
        return Request(SERVER, number, deadline_ms, Content.ENCODED, (0, 0, 0), body).pack()

    def push(self, *numbers: int) -> int:
        return self.queue.push(MODEL, [self.request(number) for number in numbers], ROOM)

    def claim(self, instance: str = "i", *, lease_s: float = 30) -> bool:
        return self.queue.claim_slot(MODEL, instance, slots=1, lease_s=lease_s)

    def take(
        self, instance: str = "i", *, at_most: int = 64, max_bytes: int = 10**6
    ) -> list[Request]:
        _, items = self.queue.take(
            MODEL, instance, max_requests=at_most, max_bytes=max_bytes, timeout_s=0.01
        )
        return [Request.unpack(item) for item in items]

    def numbers(self, instance: str = "i", *, at_most: int = 64) -> list[int]:
        return [request.id for request in self.take(instance, at_most=at_most)]

    def replies(self) -> list[Reply]:
        messages = self.queue.receive(SERVER, timeout_s=0.01)
        return [reply for message in messages for reply in unpack_replies(message)]

    def answer(self, *numbers: int, instance: str = "i") -> None:
        replies = [Reply(number, Status.OK, b"fine") for number in numbers]
        self.queue.answer(instance, {SERVER: replies})

    def waiting(self) -> tuple[int, int]:
        lengths = {length.model: length for length in self.queue.lengths()}
        return lengths[MODEL].requests, lengths[MODEL].size_bytes


@pytest.fixture
def line(queue: InferenceQueue) -> Line:
    line = Line(queue)
    assert line.claim()
    return line


def test_requests_are_taken_in_order_answered_and_gone(line: Line, raw: redis.Redis) -> None:
    assert line.push(1, 2, 3) == 3
    assert line.waiting() == (3, 3 * (HEADER_BYTES + 1))
    assert line.numbers(at_most=2) == [1, 2]
    line.answer(1, 2)
    assert line.numbers() == [3]
    assert [reply.id for reply in line.replies()] == [1, 2]
    line.answer(3)
    assert [(reply.id, reply.status, reply.body) for reply in line.replies()] == [
        (3, Status.OK, b"fine")
    ]
    assert line.waiting() == (0, 0)
    assert not raw.exists("{convnest}:flight:i")


def test_a_queue_is_bounded_in_requests_and_in_bytes(line: Line) -> None:
    small = [line.request(number) for number in range(5)]
    assert line.queue.push(MODEL, small, QueueLimits(3, 10**6)) == 3
    assert line.queue.push(MODEL, small, QueueLimits(3, 10**6)) == 0
    assert line.queue.push(MODEL, small, QueueLimits(100, 5 * (HEADER_BYTES + 1))) == 2
    assert line.waiting() == (5, 5 * (HEADER_BYTES + 1))
    assert len(line.take()) == 5  # room again
    assert line.queue.push(MODEL, small, QueueLimits(3, 10**6)) == 3


def test_who_waits_past_its_deadline_keeps_nobody_out(line: Line) -> None:
    late = [line.request(number, lives_ms=0) for number in range(3)]
    assert line.queue.push(MODEL, late, QueueLimits(3, 10**6)) == 3
    assert line.waiting() == (3, 3 * (HEADER_BYTES + 1))
    fresh = [line.request(number) for number in range(3, 9)]
    assert line.queue.push(MODEL, fresh, QueueLimits(3, 10**6)) == 3
    assert line.waiting() == (3, 3 * (HEADER_BYTES + 1))
    assert line.numbers() == [3, 4, 5]


def test_what_had_to_wait_alone_counts_too(line: Line) -> None:
    line.push(1, 2, 3)
    line.take()
    line.queue.return_flight(MODEL, "i", "crashed")
    assert line.waiting() == (3, 3 * (HEADER_BYTES + 1))
    assert line.queue.push(MODEL, [line.request(9)], QueueLimits(3, 10**6)) == 0


def test_a_batch_is_bounded_in_bytes(line: Line) -> None:
    bodies = [line.request(number, b"x" * 1000) for number in range(6)]
    line.queue.push(MODEL, bodies, ROOM)
    # It stops once it is full, and always takes one.
    assert [request.id for request in line.take(max_bytes=2000)] == [0, 1]
    line.answer(0, 1)
    assert [request.id for request in line.take(max_bytes=1)] == [2]


def test_who_is_late_or_gone_is_dropped(line: Line) -> None:
    line.queue.push(MODEL, [line.request(1, lives_ms=0)], ROOM)
    line.push(2, 3, 4)
    line.queue.forget({caller_key(SERVER, 3): line.queue.now_ms() + LATER_MS})
    assert line.numbers() == [2, 4]
    line.answer(2, 4)
    assert line.waiting() == (0, 0)
    line.push(3)  # the same caller asks again: it is not gone any more
    assert line.numbers() == [3]


def test_a_batch_of_only_late_requests_is_empty_and_the_next_is_not(line: Line) -> None:
    line.queue.push(MODEL, [line.request(n, lives_ms=0) for n in range(3)], ROOM)
    line.push(7)
    assert line.numbers(at_most=3) == [7]
    assert line.waiting() == (0, 0)


def test_a_crash_returns_each_request_to_run_alone(line: Line) -> None:
    line.push(1, 2, 3)
    assert line.numbers() == [1, 2, 3]
    assert line.queue.return_flight(MODEL, "i", "crashed") == (3, 0)
    line.push(4)
    assert line.claim("j")
    assert line.numbers("j") == [1]  # alone, and before those that came later
    line.answer(1, instance="j")
    assert line.numbers("j") == [2]
    # The process dies of it once more: only this one is refused, the others are not touched.
    assert line.queue.return_flight(MODEL, "j", "crashed") == (0, 1)
    (good, refused) = line.replies()
    assert (good.id, refused.id, refused.status) == (1, 2, Status.POISON)
    assert "died" in refused.message
    assert line.claim("k")
    assert line.numbers("k") == [3]
    line.answer(3, instance="k")
    assert line.numbers("k") == [4]
    line.answer(4, instance="k")
    assert [reply.id for reply in line.replies()] == [3, 4]


def test_where_the_whole_worker_died_the_cause_is_unknown_for_a_while(line: Line) -> None:
    line.push(1)
    instance = "i"
    for death in range(3):
        assert line.numbers(instance) == [1]
        assert line.queue.return_flight(MODEL, instance, "lost") == (1, 0)
        instance = f"i{death}"
        assert line.claim(instance)
    assert line.numbers(instance) == [1]
    assert line.queue.return_flight(MODEL, instance, "lost") == (0, 1)
    assert [reply.status for reply in line.replies()] == [Status.POISON]


def test_what_is_returned_twice_is_there_once(line: Line) -> None:
    line.push(1)
    line.take()
    assert line.queue.return_flight(MODEL, "i", "lost") == (1, 0)
    assert line.queue.return_flight(MODEL, "i", "lost") == (0, 0)
    assert line.claim("j")
    assert line.numbers("j") == [1]
    line.answer(1, instance="j")
    assert line.numbers("j") == []


def test_what_a_lost_connection_kept_from_its_taker_comes_again(line: Line) -> None:
    line.push(1, 2)
    line.take()  # the answer to this was lost
    assert line.numbers() == [1, 2]
    line.answer(1, 2)
    assert line.numbers() == []
    assert line.waiting() == (0, 0)


def test_what_must_run_alone_comes_again_alone(line: Line) -> None:
    line.push(1)
    assert line.numbers() == [1]
    assert line.queue.return_flight(MODEL, "i", "crashed") == (1, 0)
    assert line.claim("next")
    line.push(2)
    assert line.numbers("next") == [1]
    # Its taker's connection was lost with the answer of `take`.
    assert line.numbers("next") == [1]
    line.answer(1, instance="next")
    assert line.numbers("next") == [2]


def test_everything_that_waits_can_be_refused_at_once(line: Line) -> None:
    line.push(1, 2)
    assert line.queue.refuse_all(MODEL, Status.UNAVAILABLE, "cannot be loaded") == 2
    assert [(reply.id, reply.status, reply.message) for reply in line.replies()] == [
        (1, Status.UNAVAILABLE, "cannot be loaded"),
        (2, Status.UNAVAILABLE, "cannot be loaded"),
    ]
    assert line.numbers() == []
    assert line.queue.wanted(slots=9, since_s=60) == []


def test_a_slot_has_one_holder(line: Line) -> None:
    assert not line.claim("j")
    assert line.queue.claim_slot(MODEL, "j", slots=2, lease_s=30)
    assert not line.queue.claim_slot(MODEL, "k", slots=2, lease_s=30)
    line.queue.return_flight(MODEL, "i", "lost")
    assert line.queue.claim_slot(MODEL, "k", slots=2, lease_s=30)


def test_a_beat_keeps_a_slot_and_tells_who_lost_one(queue: InferenceQueue) -> None:
    line = Line(queue)
    assert line.claim("i", lease_s=0.05)
    assert queue.beat_slots({"i": MODEL}, slots=1, lease_s=0.05) == frozenset()
    until(lambda: line.claim("j", lease_s=30), within_s=2, what="the slot runs out")
    assert queue.beat_slots({"i": MODEL, "j": MODEL}, slots=1, lease_s=30) == {"i"}
    line.push(1)
    with pytest.raises(LeaseLost):
        line.take("i")
    assert line.numbers("j") == [1]


def test_a_late_beat_takes_the_slot_back_where_nobody_has_it(queue: InferenceQueue) -> None:
    line = Line(queue)
    assert line.claim("i", lease_s=0.01)
    until(lambda: queue.find_lost() == {"i": MODEL}, within_s=2, what="the slot ran out")
    assert queue.beat_slots({"i": MODEL}, slots=1, lease_s=30) == frozenset()
    assert queue.find_lost() == {}
    assert not line.claim("j")


def test_a_lost_workers_requests_are_found_and_returned(queue: InferenceQueue) -> None:
    line = Line(queue)
    assert line.claim("i", lease_s=0.05)
    line.push(1)
    assert line.numbers() == [1]
    lost = until(queue.find_lost, within_s=2, what="the instance is lost")
    assert lost == {"i": MODEL}
    assert queue.return_flight(MODEL, "i", "lost") == (1, 0)
    assert queue.find_lost() == {}
    assert MODEL in queue.wanted(slots=1, since_s=60)


def test_what_is_asked_for_and_not_served_is_wanted(
    queue: InferenceQueue, raw: redis.Redis
) -> None:
    line = Line(queue)
    assert queue.wanted(slots=1, since_s=60) == []
    line.push(1)
    assert queue.wanted(slots=1, since_s=60) == [MODEL]
    assert line.claim()
    assert queue.wanted(slots=1, since_s=60) == []
    assert queue.wanted(slots=2, since_s=60) == [MODEL]
    until(lambda: queue.wanted(slots=2, since_s=0.001) == [], within_s=2, what="it is long ago")


def test_who_waits_is_woken_by_what_comes(queue: InferenceQueue, server: RedisServer) -> None:
    line = Line(queue)
    assert line.claim()
    found: list[Sequence[object]] = []
    with connect(server.url, decode=False, timeout_s=10) as waiting:
        mine = InferenceQueue(waiting)

        def wait() -> None:
            mine.wait_for_wanted(timeout_s=8)
            _, items = mine.take(MODEL, "i", max_requests=9, max_bytes=999, timeout_s=8)
            found.append(items)

        queue.push("other:1", [line.request(5)], ROOM)  # nobody serves it
        thread = threading.Thread(target=wait)
        thread.start()
        line.push(1)
        thread.join(5)
    assert len(found) == 1
    assert len(found[0]) == 1


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from(Content),
    st.tuples(*[st.integers(0, 2**16 - 1)] * 3),
    st.binary(max_size=50),
)
def test_a_request_comes_back_as_it_was(
    server: bytes,
    number: int,
    deadline_ms: int,
    content: Content,
    shape: tuple[int, int, int],
    body: bytes,
) -> None:
    request = Request(server, number, deadline_ms, content, shape, body)
    assert Request.unpack(request.pack()) == request
    assert len(request.pack()) == HEADER_BYTES + len(body)


@given(st.binary(max_size=100))
def test_what_is_no_request_is_refused(data: bytes) -> None:
    if not data.startswith(b"CNR1"):
        with pytest.raises(ValueError, match="a request"):
            Request.unpack(data)


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sampled_from(Status), st.binary(max_size=20)))
)
def test_joined_replies_come_apart(given: list[tuple[int, Status, bytes]]) -> None:
    replies = [Reply(*one) for one in given]
    assert list(unpack_replies(b"".join(reply.pack() for reply in replies))) == replies
