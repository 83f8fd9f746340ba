"""What Classify refuses, and which field of the request it names."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from convnest_api.v1 import classification_pb2 as pb
from PIL import Image
from support.api import Api, Refusal, refusal
from support.payloads import picture, png_bomb

GOOD = pb.Image(encoded=picture(0, 28, 28))


def tensor(
    shape: tuple[int, ...] = (28, 28, 1),
    *,
    type: pb.TensorType.ValueType = pb.TENSOR_TYPE_UINT8,
    data: bytes | None = None,
) -> pb.Image:
    width = 4 if type == pb.TENSOR_TYPE_FLOAT32 else 1
    numbers = bytes(math.prod(shape) * width) if data is None else data
    return pb.Image(tensor=pb.Tensor(type=type, shape=shape, data=numbers))


def truncated(format: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, format)
    return file.getvalue()[: file.tell() // 2]


def refused(api: Api, model: str, *images: pb.Image, **options: int) -> Refusal:
    found = refusal(lambda: api.classify(model, *images, **options))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.reason == "INVALID_INPUT"
    return found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"just some text", "not an image: 14 bytes starting b'just some text'; PNG, JPEG"),
        (truncated("JPEG"), "truncated JPEG"),
        (truncated("PNG"), "PNG"),
        (png_bomb(50_000), "50000×50000 pixels; at most 40,000,000 are allowed"),
        (b"\x89PNG\r\n\x1a\n", "damaged PNG"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8X", "WEBP"),
        (b"PK\3\4 a zip", "not an image"),
        (b"\0" * 1000, "not an image"),
    ],
)
def test_what_is_no_image_is_refused_by_its_field(
    api: Api, model: str, data: bytes, message: str
) -> None:
    found = refused(api, model, GOOD, pb.Image(encoded=data))
    assert found.fields.keys() == {"images[1].encoded"}
    assert message in found.fields["images[1].encoded"]


@pytest.mark.parametrize(
    ("image", "field", "message"),
    [
        (pb.Image(), "images[0]", "neither encoded nor tensor is set"),
        (pb.Image(encoded=b""), "images[0].encoded", "it is empty"),
        (pb.Image(tensor=pb.Tensor()), "images[0].tensor.type", "must be UINT8 or FLOAT32, got 0"),
        (tensor(type=99), "images[0].tensor.type", "must be UINT8 or FLOAT32, got 99"),  # type: ignore[arg-type]
        (tensor((28, 28)), "images[0].tensor.shape", "must be (28, 28, 1) or (n, 28, 28, 1)"),
        (tensor((28, 28, 3)), "images[0].tensor.shape", "got (28, 28, 3)"),
        (tensor((1, 28, 28)), "images[0].tensor.shape", "got (1, 28, 28)"),
        (tensor((0, 28, 28, 1)), "images[0].tensor.shape", "with n from 1 to 256"),
        (tensor((257, 28, 28, 1)), "images[0].tensor.shape", "got (257, 28, 28, 1)"),
        (tensor((1,) * 100), "images[0].tensor.shape", "got (1, 1, 1, 1, 1, 1, 1, 1)"),
        (tensor((2**32 - 1, 28, 28, 1), data=b""), "images[0].tensor.shape", "got (4294967295,"),
        (
            tensor(data=b"\0" * 783),
            "images[0].tensor.data",
            "must have 784 bytes for its shape and type, got 783",
        ),
        (
            tensor(type=pb.TENSOR_TYPE_FLOAT32, data=b"\0" * 784),
            "images[0].tensor.data",
            "must have 3136 bytes for its shape and type, got 784",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_its_field(
    api: Api, model: str, image: pb.Image, field: str, message: str
) -> None:
    found = refused(api, model, image)
    assert found.fields.keys() == {field}
    assert message in found.fields[field]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 255.0, -1.0])
def test_a_number_that_is_no_pixel_is_refused_with_its_row(
    api: Api, model: str, value: float
) -> None:
    numbers = np.zeros((3, 28, 28, 1), "<f4")
    numbers[2, 5, 5, 0] = value
    image = tensor(numbers.shape, type=pb.TENSOR_TYPE_FLOAT32, data=numbers.tobytes())
    found = refused(api, model, GOOD, image)
    message = f"float32 pixels must be in [0, 1], got {value:g}"
    assert found.fields == {"images[1].tensor[2]": message}


def test_top_k_is_at_least_one(api: Api, model: str) -> None:
    assert refused(api, model, GOOD, top_k=0).fields == {"top_k": "must be ≥ 1, got 0"}
    assert len(api.classify(model, GOOD, top_k=2**32 - 1).results[0].scores) == 10


def test_as_many_images_as_allowed_and_at_least_one(api: Api, model: str) -> None:
    assert refused(api, model).fields == {"images": "at least one image, got none"}
    many = [tensor((128, 28, 28, 1)), tensor((128, 28, 28, 1))]
    assert len(api.classify(model, *many).results) == 256
    found = refused(api, model, *many, GOOD)
    assert found.fields == {"images": "at most 256 images a call"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",
        "Reader",
        "reader@",
        "reader:",
        "reader:x",
        "reader@a/b",
        "reader:1@stable",
        "reader@1" * 9,
    ],
)
def test_a_model_that_cannot_be_named_so_is_refused(api: Api, model: str, name: str) -> None:
    assert refused(api, name, GOOD).fields.keys() == {"model"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raeder", "model raeder does not exist; did you mean reader?"),
        ("reader:7", "model reader has no version 7; the latest is 1"),
        ("reader:0", "model reader has no version 0; the latest is 1"),
        ("reader@stabel", "model reader has no alias stabel; did you mean stable?"),
    ],
)
def test_what_does_not_exist_is_told_with_the_nearest_name(
    api: Api, model: str, name: str, message: str
) -> None:
    found = refusal(lambda: api.classify(name, GOOD))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert found.message == message


def test_a_message_over_the_limit_is_refused(api: Api, model: str) -> None:
    # gRPC refuses it before any code of ours: there is a status and a sentence, no details.
    with pytest.raises(grpc.RpcError) as caught:
        api.classify(model, pb.Image(encoded=bytes(2**20)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(caught.value.details())
    assert len(api.classify(model, GOOD).results) == 1


def test_bytes_that_are_no_message_are_refused(api: Api, model: str) -> None:
    call = api.raw("ClassificationService", "Classify")
    found = refusal(lambda: call(b"\xff\xff no message"))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "not the message this method takes" in found.message
    watch: Callable[..., Iterator[bytes]] = api.channel.unary_stream(
        "/convnest_api.v1.TrainingService/WatchJob"
    )
    assert refusal(lambda: list(watch(b"\xff", timeout=5))).code is grpc.StatusCode.INVALID_ARGUMENT
    upload: Callable[..., bytes] = api.channel.stream_unary(
        "/convnest_api.v1.DatasetService/UploadDataset"
    )
    found = refusal(lambda: upload(iter([b"\xff"]), timeout=5))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deadline_that_is_over_is_told_as_one(api: Api, model: str) -> None:
    request = pb.ClassifyRequest(model=model, images=[GOOD])
    with pytest.raises(grpc.RpcError) as caught:
        api.classification.Classify(request, timeout=1e-4)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_refused_image_takes_none_of_its_neighbours_along(api: Api, model: str) -> None:
    bad, good = pb.Image(encoded=b"text"), [GOOD] * 8
    calls = [
        api.classification.Classify.future(pb.ClassifyRequest(model=model, images=[image]))
        for image in [*good, bad, *good]
    ]
    codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) == 16
    assert codes[8] is grpc.StatusCode.INVALID_ARGUMENT
