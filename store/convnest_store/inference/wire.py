"""How a classification request and its reply look inside Redis: a fixed header and raw bytes.

Request: 4s magic, u8 content, u8 deaths, 2 unused, 16s server, u64 id, u64 deadline (ms by Redis'
clock), 3 u16 shape, 2 unused: 48 bytes, then the body. Reply: u64 id, u8 status, u32 length, body;
one message holds one or more.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

_MAGIC = b"CNR1"
_REQUEST = struct.Struct("<4sBB2x16sQQ3H2x")
_REPLY = struct.Struct("<QBI")
HEADER_BYTES = _REQUEST.size


class Content(IntEnum):
    """What a request's body is."""

    ENCODED = 0
    """An image file."""
    UINT8 = 1
    """Pixels, 0 to 255."""
    FLOAT32 = 2
    """Pixels in [0, 1], little-endian."""


class Status(IntEnum):
    """How a request was answered."""

    OK = 0
    INVALID = 1
    """The image is at fault."""
    POISON = 2
    """The image ended the process that worked on it."""
    UNAVAILABLE = 3
    """The model cannot be served now."""


@dataclass(frozen=True, slots=True)
class Request:
    """One image to classify. `shape` (height, width, channels) is zero for an encoded one."""

    server: bytes
    id: int
    deadline_ms: int
    content: Content
    shape: tuple[int, int, int]
    body: bytes
    deaths: int = 0
    """Processes that died while they had it."""

    def pack(self) -> bytes:
        """As bytes for the queue."""
        return (
            _REQUEST.pack(
                _MAGIC,
                self.content,
                self.deaths,
                self.server,
                self.id,
                self.deadline_ms,
                *self.shape,
            )
            + self.body
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Request":
        """From the queue; raises ValueError for what `pack` did not write."""
        if len(data) < HEADER_BYTES:
            raise ValueError(f"a request has at least {HEADER_BYTES} bytes, got {len(data)}")
        magic, content, deaths, server, number, deadline_ms, h, w, c = _REQUEST.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError(f"a request starts with {_MAGIC!r}, got {magic!r}")
        body = data[HEADER_BYTES:]
        return cls(server, number, deadline_ms, Content(content), (h, w, c), body, deaths)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request."""

    id: int
    status: Status
    body: bytes

    def pack(self) -> bytes:
        """As bytes; replies are simply joined."""
        return _REPLY.pack(self.id, self.status, len(self.body)) + self.body

    @classmethod
    def probabilities(cls, number: int, values: npt.NDArray[np.float32]) -> "Reply":
        """The good answer: one float32 a class."""
        return cls(number, Status.OK, values.astype("<f4", copy=False).tobytes())

    def read_probabilities(self) -> npt.NDArray[np.float32]:
        """What `probabilities` wrote."""
        return np.frombuffer(self.body, "<f4")

    @property
    def message(self) -> str:
        """Why there is no good answer."""
        return self.body.decode("utf-8", "replace")


def unpack_replies(data: bytes) -> Iterator[Reply]:
    """The replies joined in one message; raises struct.error or ValueError where damaged."""
    at = 0
    while at < len(data):
        number, status, length = _REPLY.unpack_from(data, at)
        at += _REPLY.size
        yield Reply(number, Status(status), data[at : at + length])
        at += length
