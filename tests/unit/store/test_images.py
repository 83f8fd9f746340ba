"""Pictures are decoded as training and serving expect them, and hostile ones refused cheaply."""

import io
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from convnest_store.errors import ImageRejected, InvalidInput, StoreError
from convnest_store.images import ImageShape, decode, encode_png, fit, probe
from PIL import Image

GREY = ImageShape(4, 6, 1)
COLOUR = ImageShape(4, 6, 3)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def png_claiming(width: int, height: int) -> bytes:
    """A header and a little data; the rest is a claim."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("shape", [GREY, COLOUR], ids=str)
def test_a_png_of_the_right_shape_comes_back_bit_by_bit(shape: ImageShape) -> None:
    pixels = noise(shape.height, shape.width, shape.channels)
    decoded = decode(encode_png(pixels), shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_the_five_formats_are_read_and_resized(format: str) -> None:
    data = encoded(Image.new("RGB", (50, 20), (200, 100, 50)), format)
    decoded = decode(data, COLOUR)
    assert decoded.shape == (4, 6, 3)
    assert np.abs(decoded.astype(int) - (200, 100, 50)).max() <= 6
    assert decode(data, GREY).shape == (4, 6, 1)
    assert probe(data)[:2] == (20, 50)


def test_other_formats_are_refused() -> None:
    for format in ("TIFF", "PPM", "ICO"):
        with pytest.raises(ImageRejected, match=r"not an image.*PNG, JPEG"):
            decode(encoded(Image.new("RGB", (16, 16)), format), COLOUR)


@pytest.mark.parametrize("data", [b"", b"hello, world\n", b"%PDF-1.7", bytes(1000)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ImageRejected, match=f"not an image: {len(data):,} bytes") as caught:
        decode(data, GREY)
    assert caught.value.field == "image"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_truncated_or_damaged_image_is_refused(format: str) -> None:
    data = encoded(Image.fromarray(noise(64, 64, 3)), format)
    with pytest.raises(ImageRejected, match=f"(truncated|damaged) {format}"):
        decode(data[: len(data) // 2], COLOUR)
    with pytest.raises(ImageRejected):
        decode(data[:14], COLOUR)


def test_a_truncated_jpeg_is_called_that() -> None:
    data = encoded(Image.fromarray(noise(64, 64, 3)), "JPEG")
    with pytest.raises(ImageRejected, match="truncated JPEG: "):
        decode(data[:-500], COLOUR)


def test_noise_behind_a_signature_is_refused_not_a_crash() -> None:
    rng = np.random.default_rng(5)
    for format in ("PNG", "JPEG", "BMP", "GIF", "WEBP"):
        sound = encoded(Image.fromarray(noise(16, 16, 3)), format)
        for _ in range(60):
            data = bytearray(sound)
            for place in rng.integers(12, len(data), 8):
                data[place] = int(rng.integers(256))
            try:
                decode(bytes(data), COLOUR)
            except ImageRejected:
                continue


@pytest.mark.parametrize(
    ("width", "height"),
    [(50_000, 50_000), (10_000, 10_000), (40_000_001, 1), (2**31 - 1, 2**31 - 1)],
)
def test_a_png_bomb_is_refused_before_a_pixel_is_allocated(width: int, height: int) -> None:
    data = png_claiming(width, height)
    tracemalloc.start()
    try:
        with pytest.raises(ImageRejected, match=f"{width}×{height} pixels; at most 40,000,000"):
            decode(data, GREY)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(ImageRejected, match="pixels; at most"):
        probe(data)


def test_a_webp_bomb_is_refused_before_its_decoder_opens() -> None:
    simple = encoded(Image.new("RGB", (16, 8)), "WEBP")
    lossless = encoded(Image.new("RGB", (16, 8)), "WEBP", lossless=True)
    extended = encoded(Image.new("RGBA", (16, 8), (1, 2, 3, 4)), "WEBP", exif=b"Exif\0\0")
    assert [data[12:16] for data in (simple, lossless, extended)] == [b"VP8 ", b"VP8L", b"VP8X"]
    for data in (simple, lossless, extended):
        with pytest.raises(ImageRejected, match="16×8 pixels; at most 127"):
            decode(data, GREY, max_pixels=127)
        assert decode(data, GREY, max_pixels=128).shape == (4, 6, 1)


def test_a_gif_whose_frame_exceeds_its_screen_is_measured_by_the_frame() -> None:
    data = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
    at = data.index(b"\x2c")
    data[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(ImageRejected, match="pixels"):
        decode(bytes(data), GREY)


def test_exif_orientation_is_applied() -> None:
    upright = Image.fromarray(noise(4, 6, 3))
    for orientation, transpose in (
        (1, None),
        (2, 0),
        (3, 3),
        (4, 1),
        (5, 5),
        (6, 2),
        (7, 6),
        (8, 4),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright
        if transpose is not None:
            stored = upright.transpose(Image.Transpose(transpose))
        data = encoded(stored, "PNG", exif=exif)
        np.testing.assert_array_equal(decode(data, COLOUR), np.asarray(upright))
        assert probe(data) == (4, 6, 3)


def test_unreadable_exif_leaves_the_picture_as_it_lies() -> None:
    image = Image.fromarray(noise(4, 6, 3))
    for exif in (b"II*\0\xff\xff\xff\xffgarbage", b"MM\0*\0\0\0\x08\xff\xff", b"II", b"garbage"):
        data = encoded(image, "PNG", exif=b"Exif\0\0" + exif)
        np.testing.assert_array_equal(decode(data, COLOUR), np.asarray(image))


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = np.array([[0, 257, 32768, 65535]], np.uint16)
    data = encoded(Image.fromarray(wide))
    assert decode(data, ImageShape(1, 4, 1)).ravel().tolist() == [0, 1, 128, 255]
    assert decode(data, ImageShape(1, 4, 3))[0, 3].tolist() == [255, 255, 255]
    assert probe(data) == (1, 4, 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_lie_over_white(mode: str) -> None:
    layer = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    data = encoded(layer.convert(mode))
    assert decode(data, GREY).min() == 255
    half = encoded(Image.new("RGBA", (6, 4), (0, 0, 0, 128)))
    assert decode(half, COLOUR).ravel().tolist() == [127] * 72


def test_palette_bilevel_and_cmyk_are_converted() -> None:
    palette = Image.new("RGB", (6, 4), (10, 200, 30)).quantize(4)
    assert decode(encoded(palette), COLOUR)[0, 0].tolist() == [10, 200, 30]
    assert decode(encoded(Image.new("1", (6, 4), 1)), GREY).min() == 255
    cmyk = encoded(Image.new("CMYK", (6, 4), (0, 0, 0, 0)), "JPEG")
    assert decode(cmyk, COLOUR).min() > 250


def test_a_large_jpeg_is_decoded_as_its_full_size_would_be() -> None:
    ramp = np.linspace(0, 255, 1200).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(ramp, (800, 1200)).copy())
    decoded = decode(encoded(image, "JPEG", quality=95), GREY)
    whole = fit(np.asarray(image)[:, :, None], GREY)
    assert np.abs(decoded.astype(int) - whole).max() <= 3


def test_an_image_of_the_right_shape_is_not_copied() -> None:
    pixels = noise(4, 6, 3)
    assert fit(pixels, COLOUR) is pixels
    assert fit(pixels, GREY).shape == (4, 6, 1)
    assert fit(pixels[:, :, :1], COLOUR).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8), noise(0, 4)],
    ids=["float", "two channels", "a line", "empty"],
)
def test_what_is_no_picture_is_not_encoded(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    with pytest.raises(ImageRejected, match="pixels must be"):
        encode_png(pixels)


def test_a_shape_reads_and_writes() -> None:
    assert str(ImageShape.parse("28x30x3")) == "28x30x3"
    assert ImageShape(28, 30, 3).size_bytes == 2520


@pytest.mark.parametrize("text", ["28x28", "28x28x1x1", "ax28x1", "", "-1x2x1", "28x28x1\n"])
def test_a_shape_that_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="must read <height>x<width>x<channels>"):
        ImageShape.parse(text)


@pytest.mark.parametrize("text", ["0x28x1", "28x4097x1", "28x28x2", "28x28x0"])
def test_a_shape_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="must be 1") as caught:
        ImageShape.parse(text)
    assert caught.value.field == "shape"


def test_every_error_has_a_reason_of_its_own_and_survives_a_process_boundary() -> None:
    def tree(root: type[StoreError]) -> list[type[StoreError]]:
        return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]

    errors = [error for error in tree(StoreError) if error.__module__ == "convnest_store.errors"]
    assert len({error.reason for error in errors}) == len(errors) >= 12
    assert all(error.reason.replace("_", "").isupper() for error in errors)
    error = pickle.loads(pickle.dumps(ImageRejected("image", "not an image")))
    assert (error.field, str(error)) == ("image", "not an image")
