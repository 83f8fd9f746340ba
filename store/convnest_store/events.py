"""Reading a job's event stream: what is kept and what is trimmed, merged by number."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from convnest_store.connection import unavailable_as_ours
from convnest_store.scripts import key

_Entries = list[tuple[str, dict[str, str]]]
_TAIL = 100


@dataclass(frozen=True)
class Event:
    """One event of a job. `cursor` counts from 1 without gaps, but old ones may be trimmed."""

    cursor: int
    kind: str
    """"state", "epoch", "progress", "checkpoint", "log" or, for a gap, "truncated"."""
    time_ms: int
    data: dict[str, Any]  # as its kind says


class EventReader:
    """Reads streams that `JobStore.append_events` and the scripts wrote. May raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def read(self, job_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        """Events past the cursor `after`, in order; a gap comes as one "truncated" event."""
        start = f"({after}-0"
        with unavailable_as_ours("state"):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xrange(key("job", job_id, "kept"), min=start, count=limit)
            pipeline.xrange(key("job", job_id, "trimmed"), min=start, count=limit)
            pages = cast(list[_Entries], pipeline.execute())
        return _merge(pages, after=after, limit=limit)

    def wait(self, cursors: Mapping[str, int], *, timeout_s: float) -> Mapping[str, int]:
        """Blocks until one of the jobs has an event past its cursor; their newest cursors.

        Empty at the timeout. The client must have no timeout of its own, or a longer one.
        """
        streams = {
            key("job", job_id, part): f"{cursor}-0"
            for job_id, cursor in cursors.items()
            for part in ("kept", "trimmed")
        }
        with unavailable_as_ours("state"):
            answer = self._client.xread(
                cast(Any, streams),  # redis-py's annotation wants a dict of a wider key type
                count=_TAIL,
                block=max(1, round(timeout_s * 1000)),
            )
        newest: dict[str, int] = {}
        for name, entries in _streams(answer):
            job_id = name.split(":")[2]
            newest[job_id] = max(newest.get(job_id, 0), _number(entries[-1][0]))
        return newest


def _streams(answer: object) -> Iterable[tuple[str, _Entries]]:
    """RESP2 answers XREAD with a list of pairs, RESP3 with a map of lists."""
    if isinstance(answer, dict):
        for name, pages in answer.items():
            yield name, [entry for page in pages for entry in page]
    else:
        yield from cast(Iterable[tuple[str, _Entries]], answer or ())


def _number(entry_id: str) -> int:
    return int(entry_id.split("-")[0])


def _merge(pages: Sequence[_Entries], *, after: int, limit: int) -> list[Event]:
    found = sorted((_number(entry_id), fields) for page in pages for entry_id, fields in page)
    # Past the end of a full page, that stream may hold events that were not read.
    horizon = min((_number(page[-1][0]) for page in pages if len(page) == limit), default=None)
    events: list[Event] = []
    previous = after
    for cursor, fields in found:
        if horizon is not None and cursor > horizon:
            break
        time_ms = int(fields["time_ms"])
        if cursor > previous + 1:
            gap = cursor - previous - 1
            events.append(Event(cursor - 1, "truncated", time_ms, {"events": gap}))
        events.append(Event(cursor, fields["kind"], time_ms, json.loads(fields["data"])))
        previous = cursor
    return events
