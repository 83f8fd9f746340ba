"""An upload on its way to blob storage: chunks to a scratch file, then one put."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TypeVar

from convnest_store.blobs import Blob, BlobStore
from convnest_store.errors import QuotaExceeded

from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Overloaded, TooLarge, Violation

T = TypeVar("T")
_GATHERED = 4 * 2**20


class Uploads:
    """Takes a few uploads at a time, each up to a size."""

    def __init__(
        self,
        *,
        blobs: BlobStore,
        blocking: Blocking,
        scratch: Path,
        max_bytes: int,
        at_a_time: int,
    ) -> None:
        self._blobs, self._blocking, self._scratch = blobs, blocking, scratch
        self._max_bytes, self._at_a_time = max_bytes, at_a_time
        self._running = 0

    async def take(
        self,
        chunks: AsyncIterator[bytes],
        *,
        announced_bytes: int,
        accept: Callable[[Blob], T],
        withdraw: Callable[[T], None],
    ) -> T:
        """Stores the chunks as one blob and returns what `accept` makes of it.

        Nothing is left where that fails; where the caller goes meanwhile, `withdraw` undoes it.
        announced_bytes: the file's size, 0 where unknown. Raises TooLarge, Overloaded,
        InvalidRequest (nothing sent, or not what was announced), QuotaExceeded, Unavailable, and
        what `accept` raises.
        """
        if announced_bytes > self._max_bytes:
            raise self._too_large(announced_bytes)
        if self._running >= self._at_a_time:
            raise Overloaded(f"{self._running} uploads run already", retry_after_s=2.0)
        self._running += 1
        try:
            with tempfile.NamedTemporaryFile(dir=self._scratch, prefix="upload-") as file:
                size = await self._gather(chunks, file)
                _check_size(size, announced_bytes)
                accepting = asyncio.create_task(self._accept(Path(file.name), accept))
                try:
                    return await asyncio.shield(accepting)
                except asyncio.CancelledError:
                    # Waited for, as the scratch file must outlive the put. And withdrawn: a
                    # stream that broke off looks like one that ended, until this tells.
                    await asyncio.wait([accepting])
                    if accepting.exception() is None:
                        await self._blocking.run(withdraw, accepting.result())
                    raise
        finally:
            self._running -= 1

    async def _accept(self, path: Path, accept: Callable[[Blob], T]) -> T:
        key = f"uploads/{secrets.token_hex(16)}"
        blob = await self._blocking.run(self._blobs.put_file, key, path)
        try:
            return await self._blocking.run(accept, blob)
        except BaseException:
            await self._blocking.run(self._blobs.delete, blob.key)
            raise

    async def _gather(self, chunks: AsyncIterator[bytes], file: IO[bytes]) -> int:
        size, gathered = 0, bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large(size)
            gathered += chunk
            if len(gathered) >= _GATHERED:
                await self._write(file, gathered)
                gathered = bytearray()
        await self._write(file, gathered)
        return size

    async def _write(self, file: IO[bytes], data: bytearray) -> None:
        try:
            await self._blocking.run(file.write, bytes(data))
            await self._blocking.run(file.flush)
        except OSError as error:
            raise QuotaExceeded(f"no room for the upload: {error.strerror}") from error

    def _too_large(self, size: int) -> TooLarge:
        return TooLarge(
            f"the file has at least {size:,} bytes; at most {self._max_bytes:,} are taken"
        )


def _check_size(size: int, announced: int) -> None:
    if size == 0:
        raise InvalidRequest([Violation("chunk", "the file is empty")])
    if announced not in (0, size):
        # Also a stream that broke off can look like one that ended.
        message = f"{announced:,} bytes were announced, {size:,} came"
        raise InvalidRequest([Violation("header.size_bytes", message)])
