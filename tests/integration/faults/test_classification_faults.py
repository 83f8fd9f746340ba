"""Classifications outlive the processes that work on them, and images that bring those down."""

import io
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import convnest
import psutil
import pytest
from PIL import Image, PngImagePlugin
from support.hooks import hooked
from support.process_tree import MODEL, running_module, still_there
from support.shop import MODELS, Row, Shop, StartWorker
from support.waiting import until


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


def test_64_concurrent_callers_over_two_models_each_get_their_own_answer(
    shop: Shop, start_worker: StartWorker, callers: ThreadPoolExecutor
) -> None:
    start_worker("worker")
    for round_ in range(4):
        asked = [
            _ask(shop, callers, MODELS[(number + round_) % 2], number)
            for number in range(len(shop.pictures))
        ]
        assert len(asked) == 64
        for number, answer in enumerate(asked):
            model = MODELS[(number + round_) % 2]
            assert shop.is_right(model, number, answer.result()), (model, number)


def test_callers_of_a_killed_worker_are_answered_by_the_next_one(
    shop: Shop, start_worker: StartWorker, callers: ThreadPoolExecutor
) -> None:
    worker = start_worker("one")
    with _halted(shop, worker.pid):
        asked = [_ask(shop, callers, "quick", number) for number in range(32)]
        shop.wait_until_held(32)
        worker.kill()
        worker.wait()
        start_worker("two")
        answers = [answer.result() for answer in asked]
    assert all(shop.is_right("quick", number, answer) for number, answer in enumerate(answers))


def test_callers_are_answered_when_the_model_process_is_killed(
    shop: Shop, start_worker: StartWorker, callers: ThreadPoolExecutor
) -> None:
    worker = start_worker("worker")
    with _halted(shop, worker.pid) as process:
        asked = [_ask(shop, callers, "quick", number) for number in range(32)]
        shop.wait_until_held(32)
        process.kill()
        answers = [answer.result() for answer in asked]
    assert all(shop.is_right("quick", number, answer) for number, answer in enumerate(answers))


def test_an_image_that_crashes_the_model_process_is_refused_and_its_neighbours_answered(
    shop: Shop, start_worker: StartWorker, callers: ThreadPoolExecutor
) -> None:
    worker = start_worker("worker", **hooked("crashing_decode"))
    with _halted(shop, worker.pid) as process:
        poison = _with_text(shop.pictures[0], "bring it down")
        refused = callers.submit(shop.classify, "quick", poison)
        asked = [_ask(shop, callers, "quick", number) for number in range(32)]
        shop.wait_until_held(33)
    with pytest.raises(convnest.InvalidArgument) as told:
        refused.result()
    assert told.value.reason == "POISON_IMAGE"
    assert all(shop.is_right("quick", number, a.result()) for number, a in enumerate(asked))
    assert not still_there([process])
    assert shop.is_right("quick", 1, shop.classify("quick", shop.pictures[1]))
    assert running_module(worker.pid, MODEL)


def test_callers_are_answered_though_the_queue_redis_was_killed_while_they_waited(
    shop: Shop, start_worker: StartWorker, callers: ThreadPoolExecutor
) -> None:
    worker = start_worker("worker")
    with _halted(shop, worker.pid):
        asked = [_ask(shop, callers, "quick", number) for number in range(32)]
        shop.wait_until_held(32)
        shop.fleet.queue.kill()
        shop.fleet.queue.start()
        shop.wait_until_held(32)  # the server sends them again
    assert all(shop.is_right("quick", number, a.result()) for number, a in enumerate(asked))


def test_a_lost_slots_process_gives_way_to_the_one_that_took_over(
    shop: Shop, start_worker: StartWorker
) -> None:
    sleeper = start_worker("sleeper")
    assert shop.is_right("quick", 0, shop.classify("quick", shop.pictures[0]))
    (stale,) = running_module(sleeper.pid, MODEL)
    heir = start_worker("heir")
    shop.wait_for_worker("heir")
    sleeper.send_signal(signal.SIGSTOP)
    try:
        until(
            lambda: (
                shop.classify("quick", shop.pictures[0]).any() and running_module(heir.pid, MODEL)
            ),
            within_s=30,
            what="another worker serves the model",
        )
    finally:
        sleeper.send_signal(signal.SIGCONT)
    until(lambda: not still_there([stale]), within_s=20, what="the stale model process is gone")
    for number, picture in enumerate(shop.pictures[:8]):
        assert shop.is_right("quick", number, shop.classify("quick", picture))


def _ask(shop: Shop, callers: ThreadPoolExecutor, model: str, number: int) -> Future[Row]:
    return callers.submit(shop.classify, model, shop.pictures[number])


@contextmanager
def _halted(shop: Shop, worker_pid: int) -> Iterator[psutil.Process]:
    """The worker's process for the model "quick", loaded and stopped; it goes on at the end."""
    assert shop.is_right("quick", 0, shop.classify("quick", shop.pictures[0]))
    (process,) = running_module(worker_pid, MODEL)
    process.suspend()
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def _with_text(picture: bytes, text: str) -> bytes:
    """The same PNG file with a text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", text)
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.save(file, format="PNG", pnginfo=info)
    return file.getvalue()
