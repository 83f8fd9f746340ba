"""A process learns of its parent's end from a pipe."""

import os
import threading

from convnest_process.tether import when_parent_ends


def test_the_end_of_the_pipe_is_told_once_and_not_before() -> None:
    reading, writing = os.pipe()
    told: list[bool] = []
    ended = threading.Event()

    def then() -> None:
        told.append(True)
        ended.set()

    when_parent_ends(reading, then)
    os.write(writing, b"a word is not the end")
    assert not ended.is_set()
    os.close(writing)
    assert ended.wait(5)
    assert told == [True]
    os.close(reading)
