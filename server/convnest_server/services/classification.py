"""ClassificationService: checks a request, asks the model's instances, picks the best classes."""

import math

import numpy as np
from convnest_api.v1 import classification_pb2 as pb
from convnest_api.v1 import classification_pb2_grpc
from convnest_store.inference import Content, Reply, Status, model_key
from convnest_store.registry import ModelVersion

from convnest_server.dispatcher import Dispatcher, Picture
from convnest_server.errors import (
    InvalidRequest,
    ModelUnavailable,
    PoisonImage,
    Violation,
)
from convnest_server.interceptor import Context
from convnest_server.resolver import ModelResolver

MAX_IMAGES = 256
_NUMBERS = {
    pb.TENSOR_TYPE_UINT8: (Content.UINT8, 1),
    pb.TENSOR_TYPE_FLOAT32: (Content.FLOAT32, 4),
}


class ClassificationServicer(classification_pb2_grpc.ClassificationServiceServicer):
    """See classification.proto."""

    def __init__(
        self, *, resolver: ModelResolver, dispatcher: Dispatcher, timeout_s: float
    ) -> None:
        self._resolver, self._dispatcher, self._timeout_s = resolver, dispatcher, timeout_s

    async def Classify(  # noqa: N802
        self, request: pb.ClassifyRequest, context: Context
    ) -> pb.ClassifyResponse:
        version = await self._resolver.resolve(request.model)
        top_k = _top_k(request, version)
        fields, pictures = _pictures(request, version)
        remaining_s = context.time_remaining()
        replies = await self._dispatcher.ask(
            model_key(version.model, version.version),
            pictures,
            timeout_s=self._timeout_s if remaining_s is None else min(remaining_s, self._timeout_s),
        )
        return pb.ClassifyResponse(
            model=version.model,
            version=version.version,
            results=[
                _result(reply, field, version, top_k)
                for field, reply in zip(fields, replies, strict=True)
            ],
        )


def _top_k(request: pb.ClassifyRequest, version: ModelVersion) -> int:
    top_k = request.top_k if request.HasField("top_k") else 1
    if top_k < 1:
        raise InvalidRequest([Violation("top_k", f"must be ≥ 1, got {top_k}")])
    return min(top_k, len(version.classes))


def _pictures(
    request: pb.ClassifyRequest, version: ModelVersion
) -> tuple[list[str], list[Picture]]:
    """Each picture, and the request's field that holds it: a tensor may hold many."""
    if not request.images:
        raise InvalidRequest([Violation("images", "at least one image, got none")])
    fields: list[str] = []
    pictures: list[Picture] = []
    for index, image in enumerate(request.images):
        field = f"images[{index}]"
        match image.WhichOneof("content"):
            case "encoded":
                if not image.encoded:
                    raise InvalidRequest([Violation(f"{field}.encoded", "it is empty")])
                pictures.append(Picture(Content.ENCODED, (0, 0, 0), image.encoded))
                fields.append(f"{field}.encoded")
            case "tensor":
                rows = _tensor(image.tensor, version, f"{field}.tensor")
                pictures += rows
                many = len(image.tensor.shape) == 4
                fields += [f"{field}.tensor{f'[{row}]' * many}" for row in range(len(rows))]
            case _:
                raise InvalidRequest([Violation(field, "neither encoded nor tensor is set")])
        if len(pictures) > MAX_IMAGES:
            raise InvalidRequest([Violation("images", f"at most {MAX_IMAGES} images a call")])
    return fields, pictures


def _tensor(tensor: pb.Tensor, version: ModelVersion, field: str) -> list[Picture]:
    if tensor.type not in _NUMBERS:
        message = f"must be UINT8 or FLOAT32, got {tensor.type}"
        raise InvalidRequest([Violation(f"{field}.type", message)])
    content, width = _NUMBERS[tensor.type]
    shape = version.preprocessing.shape
    sides = (shape.height, shape.width, shape.channels)
    given = tuple(tensor.shape)
    count = given[0] if len(given) == 4 else 1
    if given[-3:] != sides or len(given) not in (3, 4) or not 1 <= count <= MAX_IMAGES:
        message = (
            f"must be ({', '.join(map(str, sides))}) or (n, {', '.join(map(str, sides))}) "
            f"with n from 1 to {MAX_IMAGES}, got ({', '.join(map(str, given[:8]))})"
        )
        raise InvalidRequest([Violation(f"{field}.shape", message)])
    size = math.prod(sides) * width
    if len(tensor.data) != count * size:
        message = f"must have {count * size} bytes for its shape and type, got {len(tensor.data)}"
        raise InvalidRequest([Violation(f"{field}.data", message)])
    return [
        Picture(content, sides, tensor.data[at : at + size]) for at in range(0, count * size, size)
    ]


def _result(reply: Reply, field: str, version: ModelVersion, top_k: int) -> pb.Classification:
    match reply.status:
        case Status.OK:
            return _scores(reply, version, top_k)
        case Status.INVALID:
            raise InvalidRequest([Violation(field, reply.message)])
        case Status.POISON:
            raise PoisonImage(f"{field}: {reply.message}")
        case Status.UNAVAILABLE:
            raise ModelUnavailable(reply.message)


def _scores(reply: Reply, version: ModelVersion, top_k: int) -> pb.Classification:
    probabilities = reply.read_probabilities()
    if len(probabilities) != len(version.classes):
        raise RuntimeError(
            f"{version.model}:{version.version} answered {len(probabilities)} numbers "
            f"for {len(version.classes)} classes"
        )
    best = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
    return pb.Classification(
        scores=[
            pb.ClassScore(
                label=version.classes[index],
                index=index,
                probability=float(probabilities[index]),
            )
            for index in best
        ]
    )
