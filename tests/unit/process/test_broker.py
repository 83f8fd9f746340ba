"""Celery's spelling of the URLs that redis-py takes."""

import pytest
from convnest_process.broker import broker_url, make_celery


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://localhost:6379/1", "redis://localhost:6379/1"),
        ("rediss://user:secret@host/0", "rediss://user:secret@host/0"),
        ("unix:///run/q.sock", "redis+socket:///run/q.sock?virtual_host=0"),
        ("unix:///run/q.sock?db=3", "redis+socket:///run/q.sock?virtual_host=3"),
        ("unix://:secret@/run/q.sock", "redis+socket://:secret@/run/q.sock?virtual_host=0"),
    ],
)
def test_a_redis_url_as_celery_spells_it(url: str, broker: str) -> None:
    assert broker_url(url) == broker


def test_nothing_but_json_is_read_from_the_queue() -> None:
    conf = make_celery("redis://localhost:1/0").conf
    assert conf.accept_content == ["json"]
    assert (conf.task_serializer, conf.result_serializer) == ("json", "json")
