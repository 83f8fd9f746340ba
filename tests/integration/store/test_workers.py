"""Who is there: told every second, forgotten when nothing is told."""

from __future__ import annotations

import pytest
import redis
from convnest_store import workers
from convnest_store.workers import ModelPresence, WorkerPresence, WorkerRoll
from support.waiting import until

MODEL = ModelPresence("m", 1, "READY", "", 10, 20)


def presence(name: str) -> WorkerPresence:
    return WorkerPresence(name, "job", (MODEL,), {"cpu": "x"}, 1.5)


def test_who_tells_is_there_and_who_leaves_is_not(roll: WorkerRoll) -> None:
    assert not roll.anyone()
    assert roll.present() == []
    roll.tell(presence("b"))
    roll.tell(presence("a"))
    roll.tell(presence("a"))
    assert roll.anyone()
    assert roll.present() == [presence("a"), presence("b")]
    roll.leave("a")
    assert roll.present() == [presence("b")]
    roll.leave("b")
    roll.leave("b")
    assert not roll.anyone()


def test_who_stops_telling_is_forgotten(
    roll: WorkerRoll, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_FORGOTTEN_AFTER_MS", 50)
    roll.tell(presence("a"))
    until(lambda: not roll.anyone(), within_s=2, what="nobody is there")
    until(lambda: not roll.present(), within_s=2, what="nobody is told of")
    until(lambda: _is_off_the_list(roll, raw), within_s=3, what="the name goes too")


def _is_off_the_list(roll: WorkerRoll, raw: redis.Redis) -> bool:
    roll.tell(presence("b"))
    return raw.zscore("{convnest}:workers", "a") is None
