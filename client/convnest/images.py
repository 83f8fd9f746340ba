"""Anything that holds an image, as the API's message.

NumPy and Pillow are recognised by what their objects can do, and never imported.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final, Protocol, TypeAlias, runtime_checkable

from convnest_api.v1 import classification_pb2

from convnest.errors import InvalidArgument


@runtime_checkable
class PillowImage(Protocol):
    """A PIL.Image.Image, as far as it matters here."""

    @property
    def mode(self) -> str: ...
    def save(self, fp: io.BytesIO, format: str, /) -> None: ...


@runtime_checkable
class Array(Protocol):
    """A numpy.ndarray, as far as it matters here."""

    @property
    def dtype(self) -> object: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def tobytes(self) -> bytes: ...


ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | PillowImage | Array"

_PNG_MODES: Final = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")
_TENSOR_TYPES: Final = {
    "|u1": classification_pb2.TENSOR_TYPE_UINT8,
    "<f4": classification_pb2.TENSOR_TYPE_FLOAT32,
}


def encode_image(image: ImageLike, field: str = "image") -> classification_pb2.Image:
    """The message for `image`.

    A path is read; bytes are taken as an encoded file (PNG, JPEG, …); a Pillow image is sent as
    PNG. An array is (height, width), (height, width, channels) or (n, height, width, channels) of
    uint8 in 0…255 or float32 in 0…1.
    Raises InvalidArgument, which names `field`, for anything else; OSError where a path cannot be
    read.
    """
    if isinstance(image, bytes | bytearray):
        return classification_pb2.Image(encoded=bytes(image))
    if isinstance(image, str | os.PathLike):
        return classification_pb2.Image(encoded=Path(image).read_bytes())
    if isinstance(image, PillowImage):
        return classification_pb2.Image(encoded=_png(image, field))
    if isinstance(image, Array):
        return classification_pb2.Image(tensor=_tensor(image, field))
    raise InvalidArgument.of(
        field, f"must be a path, bytes, a Pillow image or an array, got {type(image).__name__}"
    )


def _png(image: PillowImage, field: str) -> bytes:
    if image.mode not in _PNG_MODES:
        raise InvalidArgument.of(
            field, f"a Pillow image of mode {image.mode} is not supported; use .convert('RGB')"
        )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _tensor(array: Array, field: str) -> classification_pb2.Tensor:
    kind = getattr(array.dtype, "str", str(array.dtype))
    if kind not in _TENSOR_TYPES:
        raise InvalidArgument.of(
            field,
            f"dtype must be uint8 (0 to 255) or little-endian float32 (0 to 1), got {array.dtype}",
        )
    shape = tuple(int(size) for size in array.shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) not in (3, 4) or 0 in shape:
        raise InvalidArgument.of(
            field,
            "shape must be (height, width), (height, width, channels) or "
            f"(n, height, width, channels) without zeros, got {tuple(array.shape)}",
        )
    return classification_pb2.Tensor(type=_TENSOR_TYPES[kind], shape=shape, data=array.tobytes())
