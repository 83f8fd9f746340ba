"""An upload becomes one blob and one job, or nothing, whenever its caller goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Overloaded, TooLarge
from convnest_server.uploads import Uploads
from convnest_store.blobs import Blob, blob_store


class Desk:
    """Uploads over a directory, and what came of them."""

    def __init__(self, folder: Path, *, at_a_time: int = 2) -> None:
        self.blobs = blob_store(str(folder / "blobs"), cache_dir=folder)
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.blocking = Blocking(threads=2, waiting=10)
        self.accepted: list[Blob] = []
        self.withdrawn = 0
        self.uploads = Uploads(
            blobs=self.blobs,
            blocking=self.blocking,
            scratch=self.scratch,
            max_bytes=100,
            at_a_time=at_a_time,
        )

    def keys(self) -> list[str]:
        return [info.key for info in self.blobs.list()]

    async def take(
        self, *chunks: bytes, announced: int = 0, accept: Callable[[Blob], None] | None = None
    ) -> None:
        async def stream() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        await self.uploads.take(
            stream(),
            announced_bytes=announced,
            accept=accept or self.accepted.append,
            withdraw=self.withdraw,
        )

    def withdraw(self, _accepted: None) -> None:
        self.blobs.delete(self.accepted.pop().key)
        self.withdrawn += 1


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_chunks_become_one_blob(desk: Desk) -> None:
    asyncio.run(desk.take(b"one ", b"", b"two", announced=7))
    (blob,) = desk.accepted
    assert desk.blobs.read_bytes(blob.key) == b"one two"
    assert list(desk.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("chunks", "announced", "error"),
    [
        ((), 0, InvalidRequest),
        ((b"",), 0, InvalidRequest),
        ((b"12345",), 4, InvalidRequest),
        ((b"12345",), 6, InvalidRequest),
        ((b"1",), 101, TooLarge),
        ((b"1" * 60, b"2" * 60), 0, TooLarge),
    ],
)
def test_what_is_refused_leaves_nothing(
    desk: Desk, chunks: tuple[bytes, ...], announced: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        asyncio.run(desk.take(*chunks, announced=announced))
    assert (desk.keys(), list(desk.scratch.iterdir()), desk.accepted) == ([], [], [])


def test_what_is_not_accepted_leaves_nothing(desk: Desk) -> None:
    def refuse(_blob: Blob) -> None:
        assert len(desk.keys()) == 1
        raise LookupError("no")

    with pytest.raises(LookupError):
        asyncio.run(desk.take(b"data", accept=refuse))
    assert (desk.keys(), list(desk.scratch.iterdir())) == ([], [])


def test_a_caller_who_goes_as_it_is_accepted_has_it_withdrawn(desk: Desk) -> None:
    accepting, gone = threading.Event(), threading.Event()

    def accept(blob: Blob) -> None:
        accepting.set()
        assert gone.wait(5)
        desk.accepted.append(blob)

    async def scenario() -> None:
        upload = asyncio.create_task(desk.take(b"data", accept=accept))
        await asyncio.to_thread(accepting.wait, 5)
        upload.cancel()
        await asyncio.sleep(0)  # the cancellation is on its way
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await upload

    asyncio.run(scenario())
    assert (desk.keys(), list(desk.scratch.iterdir()), desk.withdrawn) == ([], [], 1)


def test_a_caller_who_goes_as_it_is_refused_leaves_nothing(desk: Desk) -> None:
    accepting, gone = threading.Event(), threading.Event()

    def refuse(_blob: Blob) -> None:
        accepting.set()
        assert gone.wait(5)
        raise LookupError("no")

    async def scenario() -> None:
        upload = asyncio.create_task(desk.take(b"data", accept=refuse))
        await asyncio.to_thread(accepting.wait, 5)
        upload.cancel()
        await asyncio.sleep(0)  # the cancellation is on its way
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await upload

    asyncio.run(scenario())
    assert (desk.keys(), list(desk.scratch.iterdir()), desk.withdrawn) == ([], [], 0)


def test_a_caller_who_goes_before_leaves_nothing(desk: Desk) -> None:
    async def scenario() -> None:
        started = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"data"
            started.set()
            await asyncio.Event().wait()

        upload = asyncio.create_task(
            desk.uploads.take(
                endless(), announced_bytes=0, accept=desk.accepted.append, withdraw=desk.withdraw
            )
        )
        await started.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload

    asyncio.run(scenario())
    assert (desk.keys(), list(desk.scratch.iterdir()), desk.accepted) == ([], [], [])


def test_only_a_few_at_a_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, at_a_time=1)

    async def scenario() -> None:
        started = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            started.set()
            await asyncio.Event().wait()
            yield b""

        first = asyncio.create_task(
            desk.uploads.take(
                slow(), announced_bytes=0, accept=desk.accepted.append, withdraw=desk.withdraw
            )
        )
        await started.wait()
        with pytest.raises(Overloaded, match="1 uploads run already"):
            await desk.take(b"data")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await desk.take(b"data")

    asyncio.run(scenario())
    assert len(desk.accepted) == 1
