"""Encoded pictures to arrays and back: the same code for ingesting, training and serving.

`decode` never trusts its bytes. The header's size is checked before any pixel is allocated, only
five formats are read, and a truncated file is refused. Transparent pixels are laid over white
(paper); a GIF gives its first frame; sizes are fitted by stretching, without keeping the ratio.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from convnest_store.errors import ImageRejected, InvalidInput

MAX_PIXELS = 40_000_000
MAX_SIDE = 4096

UInt8Array = npt.NDArray[np.uint8]

_FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    ("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile),
    ("WEBP", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL), WebPImagePlugin.WebPImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile),
    ("BMP", re.compile(rb"BM"), BmpImagePlugin.BmpImageFile),
)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = frozenset({5, 6, 7, 8})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
# What Pillow's parsers are known to raise on bytes that are not what they claim.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    ArithmeticError,
    struct.error,
    zlib.error,
    UserWarning,  # of damaged metadata, where warnings are errors
)


@dataclass(frozen=True, order=True)
class ImageShape:
    """Height, width and channels (1 grey, 3 RGB) of a decoded image: `28x28x1`."""

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        for side, name in ((self.height, "height"), (self.width, "width")):
            if not 1 <= side <= MAX_SIDE:
                raise InvalidInput("shape", f"{name} must be 1 to {MAX_SIDE}, got {side}")
        if self.channels not in (1, 3):
            raise InvalidInput("shape", f"channels must be 1 or 3, got {self.channels}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<height>x<width>x<channels>`; raises InvalidInput."""
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})x(\d{1,5})", text, re.ASCII)
        if match is None:
            raise InvalidInput(
                "shape", f"shape must read <height>x<width>x<channels> like 28x28x1, got {text!r}"
            )
        return cls(*(int(number) for number in match.groups()))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"

    @property
    def size_bytes(self) -> int:
        """Of one image, a byte a channel."""
        return self.height * self.width * self.channels


def decode(data: bytes, shape: ImageShape, *, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Decode an encoded picture to `shape` (H, W, C), uint8, resized by antialiased bilinear.

    EXIF orientation is applied. A JPEG much larger than `shape` is decoded at a half, quarter or
    eighth of its size, but never below twice `shape`. Raises ImageRejected.
    """
    with _opened(data, max_pixels) as (name, image):
        longest = 2 * max(shape.height, shape.width)
        image.draft("L" if shape.channels == 1 else "RGB", (longest, longest))
        with _told_as_damage(name):
            image.load()
        orientation = _orientation(image)
        upright: Image.Image = image
        if orientation in _UPRIGHT:
            upright = image.transpose(_UPRIGHT[orientation])
        return _fitted(upright, shape)


def probe(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int, int]:
    """Height, width (upright) and channels as the picture's header tells them, nothing decoded.

    Raises ImageRejected.
    """
    with _opened(data, max_pixels) as (_, image):
        width, height = image.size
        if _orientation(image) in _TURNED:
            width, height = height, width
        grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
        return height, width, 1 if grey else 3


def fit(pixels: UInt8Array, shape: ImageShape) -> UInt8Array:
    """Bring one (H, W, 1 or 3) image to `shape`, as `decode` would; itself if it has it."""
    if pixels.shape == (shape.height, shape.width, shape.channels):
        return pixels
    return _fitted(_from_array(pixels), shape)


def encode_png(pixels: UInt8Array) -> bytes:
    """Encode a uint8 (H, W), (H, W, 1) or (H, W, 3) array; raises ImageRejected on any other."""
    if pixels.dtype != np.uint8:
        raise ImageRejected("image", f"pixels must be uint8, got {pixels.dtype}")
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if not grey_or_rgb or pixels.size == 0:
        raise ImageRejected(
            "image", f"pixels must be (H, W), (H, W, 1) or (H, W, 3), got {pixels.shape}"
        )
    buffer = io.BytesIO()
    _from_array(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[tuple[str, ImageFile.ImageFile]]:
    """The format's name and the image with its header read and its size found allowed.

    The format's class is called directly: Image.open would judge the size by a global limit, and
    say it by a warning.
    """
    name, image_class = _format_of(data)
    if name == "WEBP":
        _check_pixels(_webp_size(data), max_pixels)  # its decoder allocates as it opens
    with _told_as_damage(name):
        image = image_class(io.BytesIO(data))
    with image:
        _check_pixels(image.size, max_pixels)
        yield name, image


def _format_of(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for name, signature, image_class in _FORMATS:
        if signature.match(data):
            return name, image_class
    raise ImageRejected(
        "image",
        f"not an image: {len(data):,} bytes starting {data[:16]!r}; "
        "PNG, JPEG, WEBP, GIF and BMP are allowed",
    )


@contextmanager
def _told_as_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejected("image", f"{name} has too many pixels: {error}") from error
    except _DAMAGED as error:
        how = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise ImageRejected("image", f"{how} {name}: {error}") from error


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageRejected("image", f"{width}×{height} pixels; at most {max_pixels:,} are allowed")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    header = data[12:30].ljust(18, b"\0")
    match header[3:4]:
        case b"X":
            low, high = header[12:15], header[15:18]
            return int.from_bytes(low, "little") + 1, int.from_bytes(high, "little") + 1
        case b"L":
            bits = int.from_bytes(header[9:13], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            width, height = struct.unpack("<HH", header[14:18])
            return width & 0x3FFF, height & 0x3FFF


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation; 1 (upright) where the metadata is absent or cannot be read.

    Read by hand (EXIF 2.3, section 4.6): Pillow's reader decodes every tag and warns of damage.
    """
    exif: bytes = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", exif, at)
            if tag == _ORIENTATION_TAG:
                return int(value)
    except struct.error:
        return 1
    return 1


def _fitted(image: Image.Image, shape: ImageShape) -> UInt8Array:
    flat = _flattened(image, "L" if shape.channels == 1 else "RGB")
    if flat.size != (shape.width, shape.height):
        flat = flat.resize((shape.width, shape.height), Image.Resampling.BILINEAR)
    return np.asarray(flat).reshape(shape.height, shape.width, shape.channels)


def _flattened(image: Image.Image, mode: str) -> Image.Image:
    """The image in `mode` (L or RGB), opaque, eight bits a channel."""
    if image.mode.startswith("I;16") or image.mode == "I":  # Pillow's own conversion clips
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((np.minimum(wide, 65535) + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(paper, layer)
    return image if image.mode == mode else image.convert(mode)


def _from_array(pixels: UInt8Array) -> Image.Image:
    grey = pixels.ndim == 3 and pixels.shape[2] == 1
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if grey else pixels))
