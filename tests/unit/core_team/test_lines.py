"""Signals between two members, in both forms, between two threads."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from convnest_core.team.line import WORDS_BYTES, FlagLine, Line, PeerGoneError, line_to

Ends = tuple[Line, Line]


def nothing() -> None:
    pass


@pytest.fixture(params=[None, 0, 50_000], ids=["tokens", "sleeping", "spinning"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    words = memoryview(bytearray(WORDS_BYTES)).cast("q")
    first, second = socket.socketpair()
    pair = (
        line_to(1, first, words, spin_ns=request.param),
        line_to(0, second, words, spin_ns=request.param),
    )
    yield pair
    for line in pair:
        line.close()


def test_every_wait_takes_one_signal(ends: Ends) -> None:
    here, there = ends
    heard = []

    def peer() -> None:
        for number in range(2000):
            there.wait(nothing)
            heard.append(number)
            there.signal()

    thread = threading.Thread(target=peer)
    thread.start()
    for number in range(2000):
        here.signal()
        here.wait(nothing)
        assert len(heard) == number + 1
    thread.join()


def test_signals_before_a_wait_are_kept(ends: Ends) -> None:
    here, there = ends
    for _ in range(3):
        here.signal()
    for _ in range(3):
        there.wait(nothing)
    looks = 0

    def look_around() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        there.wait(look_around)


def test_a_peer_that_ends_wakes_the_sleeper_with_its_last_words(ends: Ends) -> None:
    here, there = ends

    def leave() -> None:
        time.sleep(0.05)  # the other side is asleep by then
        there.leave("the reason, ünd all of it " * 100)
        there.close()

    thread = threading.Thread(target=leave)
    thread.start()
    with pytest.raises(PeerGoneError) as gone:
        here.wait(nothing)
    thread.join()
    assert gone.value.text.startswith("the reason, ünd")
    assert gone.value.rank == 1


def test_a_peer_that_ended_long_ago_is_noticed(ends: Ends) -> None:
    here, there = ends
    there.close()
    with pytest.raises(PeerGoneError):
        here.wait(nothing)


def test_spinning_in_vain_is_not_repeated_at_once() -> None:
    words = memoryview(bytearray(WORDS_BYTES)).cast("q")
    first, second = socket.socketpair()
    here = FlagLine(first, words, peer=1, spin_ns=50_000_000)
    there = FlagLine(second, words, peer=0, spin_ns=0)
    spent = []
    for _ in range(3):
        timer = threading.Timer(0.1, there.signal)
        timer.start()
        began = time.thread_time()
        here.wait(nothing)
        spent.append(time.thread_time() - began)
        timer.join()
    assert spent[1] + spent[2] < 0.03
    here.close()
    there.close()
