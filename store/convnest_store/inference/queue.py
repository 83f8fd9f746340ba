"""The inference queue in Redis: requests wait per model version, and are never only in a process.

A request moves atomically from its model's list to the in-flight list of the instance that takes
it, and leaves that with its reply. When an instance ends, what it had in flight is returned, each
request to run alone. Losing this Redis loses only what servers still hold and send again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis

from convnest_store.connection import unavailable_as_ours
from convnest_store.errors import LeaseLost
from convnest_store.inference.wire import Reply, Status
from convnest_store.scripts import PREFIX, ScriptLoader

MAX_DEATHS = 3
_CRASHED, _LOST = "crashed", "lost"
_REPLIES_KEPT_MS = 60_000


def model_key(model: str, version: int) -> str:
    """How the queue names a model version."""
    return f"{model}:{version}"


@dataclass(frozen=True)
class QueueLimits:
    """How much may wait for one model version."""

    requests: int = 2000
    size_bytes: int = 256 * 2**20


@dataclass(frozen=True)
class QueueLength:
    """What waits for one model version."""

    model: str
    requests: int
    size_bytes: int


class InferenceQueue:
    """All methods may raise Unavailable. The client must not decode replies."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        constants = (
            f"local MODE_CRASHED, MODE_LOST = '{_CRASHED}', '{_LOST}'\n"
            f"local MAX_DEATHS, STATUS_POISON = {MAX_DEATHS}, {int(Status.POISON)}"
        )
        self._scripts = ScriptLoader(client, "inference", constants)

    # For the server.

    def push(self, model: str, requests: Sequence[bytes], limits: QueueLimits) -> int:
        """Queues packed requests; returns how many fitted within the limits, the first ones."""
        return int(self._run("push", model, limits.requests, limits.size_bytes, *requests))

    def forget(self, callers: Mapping[bytes, int]) -> None:
        """Drops requests whose callers have gone, if no batch has them yet; {caller: deadline}."""
        self._run("forget", *(part for item in callers.items() for part in reversed(item)))

    def receive(self, server: bytes, *, timeout_s: float, at_most: int = 256) -> list[bytes]:
        """Waits for reply messages; returns all there are, or none at the timeout."""
        replies = _replies_key(server)
        with unavailable_as_ours("queue"):
            pipeline = self._client.pipeline(transaction=False)
            pipeline.blpop([replies], timeout=timeout_s)
            pipeline.lpop(replies, at_most)
            first, more = pipeline.execute()
        return ([first[1]] if first else []) + list(more or ())

    # For a model instance.

    def take(
        self, model: str, instance: str, *, max_requests: int, max_bytes: int, timeout_s: float
    ) -> tuple[int, list[bytes]]:
        """Waits for requests and moves them in flight; returns Redis' time (ms) and them.

        Raises LeaseLost while the instance holds no slot.
        """
        script = self._scripts("take")
        args: list[str | int] = [model, instance, max_requests, max_bytes]
        with unavailable_as_ours("queue"):
            # One round trip: redis-py's scripts would ask whether they are loaded at each pipeline.
            pipeline = self._client.pipeline(transaction=False)
            pipeline.blpop([f"{PREFIX}wake:{model}"], timeout=timeout_s)
            pipeline.evalsha(script.sha, 0, *args)
            _, answer = pipeline.execute(raise_on_error=False)
            if isinstance(answer, redis.exceptions.NoScriptError):
                answer = script(args=args)
            if isinstance(answer, Exception):
                raise answer
        now_ms, *items = answer
        if not now_ms:
            raise LeaseLost(f"{instance} holds no slot of {model}")
        return int(now_ms), items

    def answer(self, instance: str, replies: Mapping[bytes, Sequence[Reply]]) -> None:
        """Sends each server its replies and empties the in-flight list, together."""
        with unavailable_as_ours("queue"):
            pipeline = self._client.pipeline(transaction=True)
            for server, batch in replies.items():
                key = _replies_key(server)
                pipeline.rpush(key, b"".join(reply.pack() for reply in batch))
                pipeline.pexpire(key, _REPLIES_KEPT_MS)
            pipeline.delete(f"{PREFIX}flight:{instance}")
            pipeline.execute()

    # For a serving supervisor.

    def claim_slot(self, model: str, instance: str, *, slots: int, lease_s: float) -> bool:
        """Takes one of the model version's serving slots, if one is free."""
        return bool(self._run("claim_slot", model, slots, instance, round(lease_s * 1000)))

    def beat_slots(
        self, instances: Mapping[str, str], *, slots: int, lease_s: float
    ) -> frozenset[str]:
        """Renews the slots of `{instance: model}`; returns instances that have lost theirs."""
        flat = [part for instance, model in instances.items() for part in (model, instance)]
        lost = cast(list[bytes], self._run("beat_slots", round(lease_s * 1000), slots, *flat))
        return frozenset(name.decode() for name in lost)

    def return_flight(
        self, model: str, instance: str, why: Literal["crashed", "lost"]
    ) -> tuple[int, int]:
        """The end of an instance: frees its slot and returns what it had taken.

        Counts of requests returned and refused.
        """
        returned, refused = cast(list[int], self._run("return_flight", model, instance, why))
        return returned, refused

    def find_lost(self) -> Mapping[str, str]:
        """`{instance: model}` whose worker is gone and whose requests nobody has returned."""
        flat = [name.decode() for name in cast(list[bytes], self._run("find_lost"))]
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def refuse_all(self, model: str, status: Status, message: str) -> int:
        """Answers everything that waits for a model version with one refusal."""
        return int(self._run("refuse_all", model, int(status), message))

    def wanted(self, *, slots: int, since_s: float) -> Sequence[str]:
        """Model versions asked for lately that have a free slot."""
        found = cast(list[bytes], self._run("wanted", slots, round(since_s * 1000)))
        return [name.decode() for name in found]

    def wait_for_wanted(self, *, timeout_s: float) -> None:
        """Returns when a model version is asked for that nobody serves, or at the timeout."""
        with unavailable_as_ours("queue"):
            pipeline = self._client.pipeline(transaction=False)
            pipeline.blpop([f"{PREFIX}wanted-wake"], timeout=timeout_s)
            pipeline.delete(f"{PREFIX}wanted-wake")
            pipeline.execute()

    # For anyone.

    def now_ms(self) -> int:
        """Redis' clock."""
        with unavailable_as_ours("queue"):
            seconds, microseconds = self._client.time()
        return seconds * 1000 + microseconds // 1000

    def lengths(self) -> Sequence[QueueLength]:
        """What waits, for every model version asked for lately."""
        with unavailable_as_ours("queue"):
            names = cast(list[bytes], self._client.zrange(f"{PREFIX}wanted", 0, -1))
            pipeline = self._client.pipeline(transaction=False)
            for name in (raw.decode() for raw in names):
                pipeline.llen(f"{PREFIX}queue:{name}")
                pipeline.llen(f"{PREFIX}alone:{name}")
                pipeline.get(f"{PREFIX}bytes:{name}")
            answers = pipeline.execute()
        return [
            QueueLength(raw.decode(), queued + alone, int(size or 0))
            for raw, queued, alone, size in zip(
                names, answers[::3], answers[1::3], answers[2::3], strict=True
            )
        ]

    def _run(self, name: str, *args: str | int | bytes) -> int:
        with unavailable_as_ours("queue"):
            # The scripts answer numbers or lists; callers of lists cast.
            return cast(int, self._scripts(name)(args=list(args)))


def caller_key(server: bytes, number: int) -> bytes:
    """How `forget` names a request."""
    return server + number.to_bytes(8, "little")


def _replies_key(server: bytes) -> bytes:
    return f"{PREFIX}replies:".encode() + server
