"""What a Redis that was away leaves behind: nobody is robbed, and nothing stays on the books."""

from __future__ import annotations

import signal
import time
from typing import cast

import pytest
import redis
from convnest_store.connection import TIMEOUT_S, connect
from convnest_store.errors import LeaseLost, Unavailable
from convnest_store.inference import (
    Content,
    InferenceQueue,
    QueueLimits,
    Request,
    Status,
    caller_key,
)
from convnest_store.redis_info import RedisInfo
from convnest_store.states import JobState
from support.desk import Desk
from support.redis_server import RedisServer
from support.waiting import until

MODEL, SERVER = "m:1", b"a server's id 16"


def test_nothing_is_reaped_within_a_lease_after_nobody_looked_for_a_while(desk: Desk) -> None:
    job = desk.new()
    lease = desk.taken(lease_s=0.1)
    desk.jobs.reap(lease_s=0.1, every_s=0.05)

    def looks_ms() -> tuple[float, float]:
        watch = cast(dict[str, str], desk.client.hgetall("{convnest}:reaping"))
        return float(watch["looked_ms"]), float(watch["since_ms"])

    before, _ = looks_ms()
    until(lambda: _now_ms(desk) > before + 200, within_s=5, what="lease and patience are over")
    # The state Redis was silent, say, and the first to come is not the holder.
    _, reaped = desk.jobs.reap(lease_s=0.1, every_s=0.05)
    looked, since = looks_ms()
    assert reaped == []
    assert looked == since > before
    desk.jobs.beat(lease, lease_s=30)
    assert desk.state(job.id) is JobState.RUNNING


def test_a_checkpoint_told_twice_keeps_the_one_before(desk: Desk) -> None:
    desk.new()
    lease = desk.taken()
    first, second, third = ({"n": n, "blob": {}} for n in range(3))
    for checkpoint in (first, second, second):
        assert desk.jobs.commit_checkpoint(lease, checkpoint, event={}) is None
    assert desk.jobs.get(lease.job.id).checkpoints == (second, first)
    assert desk.jobs.commit_checkpoint(lease, third, event={}) == first


def test_an_instance_without_its_slot_takes_nothing(queue: InferenceQueue) -> None:
    queue.claim_slot(MODEL, "old", slots=1, lease_s=30)
    queue.return_flight(MODEL, "old", "lost")
    queue.claim_slot(MODEL, "new", slots=1, lease_s=30)
    _push(queue, 1)
    with pytest.raises(LeaseLost):
        _take(queue, "old")
    # It has taken the token that wakes, and given it on.
    started = time.monotonic()
    assert _take(queue, "new") == 1
    assert time.monotonic() - started < 1


def test_an_instance_that_ended_leaves_no_trace(queue: InferenceQueue, client: redis.Redis) -> None:
    for number in range(3):
        queue.claim_slot(MODEL, f"i{number}", slots=1, lease_s=30)
        _push(queue, number)
        assert _take(queue, f"i{number}") == 1
        queue.return_flight(MODEL, f"i{number}", "lost")
        queue.refuse_all(MODEL, Status.UNAVAILABLE, "")
    left = {str(name) for name in client.keys("{convnest}:*")}
    assert left <= {
        f"{{convnest}}:{name}" for name in ("wanted-wake", f"replies:{SERVER.decode()}")
    }


def test_callers_that_have_gone_are_not_remembered_past_their_deadline(
    queue: InferenceQueue, client: redis.Redis
) -> None:
    now_ms = queue.now_ms()
    queue.forget({caller_key(SERVER, n): now_ms - 1 for n in range(100)})
    queue.forget({caller_key(SERVER, 1000): now_ms + 60_000})
    assert client.zcard("{convnest}:gone") == 1


def test_a_silent_redis_is_waited_for_by_the_first_caller_and_not_by_the_next(
    queue_redis: RedisServer,
) -> None:
    server = queue_redis
    with connect(server.url, decode=True) as client:
        info = RedisInfo(client, "state")
        info.ping()
        server.signal(signal.SIGSTOP)
        try:
            waits = [_seconds_to_be_told(info) for _ in range(2)]
        finally:
            server.signal(signal.SIGCONT)
        assert waits[0] >= TIMEOUT_S > 0.5 > waits[1]
        until(lambda: _answers(info), within_s=5, what="it is tried again")


def _seconds_to_be_told(info: RedisInfo) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        info.ping()
    return time.monotonic() - started


def _answers(info: RedisInfo) -> bool:
    try:
        info.ping()
    except Unavailable:
        return False
    return True


def _push(queue: InferenceQueue, number: int) -> None:
    deadline_ms = queue.now_ms() + 60_000
    request = Request(SERVER, number, deadline_ms, Content.ENCODED, (0, 0, 0), b"x")
    assert queue.push(MODEL, [request.pack()], QueueLimits()) == 1


def _take(queue: InferenceQueue, instance: str) -> int:
    _, items = queue.take(MODEL, instance, max_requests=9, max_bytes=10**6, timeout_s=5)
    return len(items)


def _now_ms(desk: Desk) -> float:
    seconds, microseconds = desk.client.time()
    return float(seconds * 1000 + microseconds / 1000)
