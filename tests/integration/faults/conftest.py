"""One shop for all tests of faults, and workers that end with each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from convnest_store.connection import connect
from convnest_store.scripts import key
from support.process_tree import descendants, still_there
from support.shop import Shop, StartWorker, open_shop
from support.waiting import until


@pytest.fixture(scope="package")
def shop() -> Iterator[Shop]:
    with tempfile.TemporaryDirectory(prefix="cn-") as folder, open_shop(Path(folder)) as shop:
        yield shop


@pytest.fixture
def start_worker(shop: Shop) -> Iterator[StartWorker]:
    workers: list[Popen[bytes]] = []
    with connect(shop.fleet.queue.url, decode=True) as queue:
        # What the test before asked for is not to be loaded for this one.
        queue.delete(key("wanted"))

    def start(name: str, **extra: str) -> Popen[bytes]:
        workers.append(shop.fleet.start_worker(name, **extra))
        return workers[-1]

    yield start
    children = [child for worker in workers for child in descendants(worker.pid)]
    for worker in workers:
        worker.kill()
        worker.wait()
    # One that still answers would answer the next test.
    until(lambda: not still_there(children), within_s=10, what="the workers' children are gone")
