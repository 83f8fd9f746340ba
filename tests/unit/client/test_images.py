from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from convnest import InvalidArgument
from convnest.images import encode_image
from convnest_api.v1 import classification_pb2
from PIL import Image


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"bytes")
    assert encode_image(path).encoded == b"bytes"
    assert encode_image(str(path)).encoded == b"bytes"


def test_a_missing_path_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        encode_image(tmp_path / "none.png")


def test_bytes_are_sent_as_they_are() -> None:
    assert encode_image(b"\xff\xd8jpeg").encoded == b"\xff\xd8jpeg"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_pillow_image_is_sent_as_png(mode: str) -> None:
    image = Image.new(mode, (5, 4))
    with Image.open(io.BytesIO(encode_image(image).encoded)) as decoded:
        assert decoded.format == "PNG"
        assert decoded.size == (5, 4)


@pytest.mark.parametrize("mode", ["CMYK", "F", "HSV"])
def test_a_pillow_image_that_png_cannot_hold_is_refused(mode: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"images\[3\]: .*mode {mode}.*convert"):
        encode_image(Image.new(mode, (5, 4)), "images[3]")


@pytest.mark.parametrize(
    ("shape", "sent"),
    [((4, 5), (4, 5, 1)), ((4, 5, 3), (4, 5, 3)), ((2, 4, 5, 1), (2, 4, 5, 1))],
)
def test_an_array_is_sent_as_numbers(shape: tuple[int, ...], sent: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    tensor = encode_image(array).tensor
    assert tensor.type == classification_pb2.TENSOR_TYPE_UINT8
    assert tuple(tensor.shape) == sent
    assert tensor.data == array.tobytes()


def test_a_float_array_is_little_endian() -> None:
    array = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    tensor = encode_image(array).tensor
    assert tensor.type == classification_pb2.TENSOR_TYPE_FLOAT32
    np.testing.assert_array_equal(np.frombuffer(tensor.data, "<f4").reshape(2, 3), array)


def test_an_array_that_is_not_contiguous_is_sent_in_row_major_order() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    assert encode_image(array).tensor.data == np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.bool_, ">f4", np.float16, object])
def test_a_wrong_dtype_is_named(dtype: str) -> None:
    with pytest.raises(InvalidArgument, match=r"image: dtype must be uint8 .* or .*float32"):
        encode_image(np.zeros((4, 5), dtype))


@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (1, 1, 1, 1, 1)])
def test_a_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match=r"image: shape must be .*got \("):
        encode_image(np.zeros(shape, np.uint8))


def test_anything_else_is_refused_by_its_type() -> None:
    with pytest.raises(InvalidArgument, match="got list"):
        encode_image([[1, 2], [3, 4]])  # type: ignore[arg-type]  # the point of the test
