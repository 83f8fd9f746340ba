from __future__ import annotations

import os
import threading
from pathlib import Path

from convnest.stack.part_log import PartLog


def test_the_files_together_stay_within_their_bound(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "worker.log", max_bytes=1000, backups=2)
    for n in range(500):
        log.write(f"line {n:05}\n".encode())
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"worker.log", "worker.log.1", "worker.log.2"}
    assert max(sizes.values()) <= 1000
    newest = (tmp_path / "worker.log").read_text().splitlines()
    assert newest[-1] == "line 00499"
    older = (tmp_path / "worker.log.1").read_text().splitlines()
    assert int(older[-1].split()[1]) + 1 == int(newest[0].split()[1])


def test_a_new_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for text in (b"first\n", b"second\n"):
        log = PartLog(tmp_path / "server.log")
        log.write(text)
        log.close()
    assert (tmp_path / "server.log").read_text() == "first\nsecond\n"


def test_the_last_lines_are_kept_in_memory_without_the_empty_ones(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "server.log")
    log.write(b"one\n\ntwo\nthr")
    log.write(b"ee\n\n")
    log.close()
    assert log.last_lines(2) == ["two", "three"]


def test_memory_stays_small_however_much_is_printed(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "server.log")
    for _ in range(1000):
        log.write(b"x" * 1023 + b"\n")
    log.close()
    assert sum(map(len, log.last_lines(10_000))) <= 2 * 16 * 1024


def test_a_disk_that_takes_nothing_does_not_stop_the_reader(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "missing folder" / "server.log")
    reader, writer = os.pipe()
    os.write(writer, b"said\n")
    os.close(writer)
    log.read_all(os.fdopen(reader, "rb", buffering=0), lambda _line: None)
    assert log.last_lines() == ["said"]


def test_whoever_listens_is_told_whole_lines(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    told: list[str] = []
    log = PartLog(tmp_path / "worker.log")
    reading = threading.Thread(
        target=log.read_all, args=(os.fdopen(reader, "rb", buffering=0), told.append)
    )
    reading.start()
    for chunk in (b"com", b"piling\n", b"1/2\n2/2\nun", b"finished"):
        os.write(writer, chunk)
    os.close(writer)
    reading.join(5)
    log.close()
    assert told == ["compiling", "1/2", "2/2"]
