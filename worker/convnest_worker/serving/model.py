"""A trained network in memory: requests in, replies out."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from convnest_core import build, network, softmax
from convnest_core.planning import plan
from convnest_store.blobs import BlobStore
from convnest_store.errors import ImageRejected
from convnest_store.images import ImageShape, decode
from convnest_store.inference import Content, Reply, Request, Status
from convnest_store.registry import ModelVersion
from safetensors.numpy import load_file

from convnest_worker.preprocess import Normalisation

_OVERSHOOT = 0.1
_Number = TypeVar("_Number", bound=np.generic)


class ServedModel:
    """One model version. `answer` never raises for what a request holds."""

    def __init__(self, version: ModelVersion, blobs: BlobStore, *, max_batch: int) -> None:
        """Loads and warms it. Raises BlobMissing, BlobCorrupt, Unavailable or CoreError."""
        shape = version.preprocessing.shape
        self._shape = shape
        self._sides = (shape.height, shape.width, shape.channels)
        self._normalisation = Normalisation.of(version.preprocessing)
        module = network(version.network, classes=len(version.classes))
        build(module, self._sides, seed=0)
        with blobs.open(version.weights) as path:
            module.load_state(load_file(path))
        self._plan = plan(module, self._sides, max_batch=max_batch)
        self._plan(np.zeros((1, *self._sides), np.float32))

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply for each of up to `max_batch` requests, in order."""
        replies: dict[int, Reply] = {}
        x = np.empty((len(requests), *self._sides), np.float32)
        good: list[int] = []
        for index, request in enumerate(requests):
            try:
                x[len(good)] = self._input(request)
            except ImageRejected as error:
                replies[index] = Reply(request.id, Status.INVALID, str(error).encode())
            else:
                good.append(index)
        if good:
            probabilities = softmax(self._plan(x[: len(good)]))
            for row, index in enumerate(good):
                replies[index] = Reply.probabilities(requests[index].id, probabilities[row])
        return [replies[index] for index in range(len(requests))]

    def _input(self, request: Request) -> npt.NDArray[np.float32]:
        match request.content:
            case Content.ENCODED:
                pixels = decode(request.body, self._shape)
                return self._normalisation.pixels(pixels)
            case Content.UINT8:
                pixels = np.frombuffer(request.body, np.uint8)
                return self._normalisation.pixels(_shaped(pixels, request, self._shape))
            case Content.FLOAT32:
                values = np.frombuffer(request.body, "<f4")
                _check_unit(values)
                return self._normalisation.unit(_shaped(values, request, self._shape))


def _check_unit(values: npt.NDArray[np.float32]) -> None:
    """Pixels are in [0, 1], give or take what a resize overshoots; NaN is nowhere."""
    if not ((values >= -_OVERSHOOT) & (values <= 1 + _OVERSHOOT)).all():
        worst = values[np.argmax(np.abs(values - 0.5))]
        raise ImageRejected("tensor", f"float32 pixels must be in [0, 1], got {worst:g}")


def _shaped(
    values: npt.NDArray[_Number], request: Request, shape: ImageShape
) -> npt.NDArray[_Number]:
    sides = (shape.height, shape.width, shape.channels)
    if request.shape != sides or values.size != math.prod(sides):
        raise ImageRejected(
            "tensor", f"the model takes {shape}, got {'×'.join(map(str, request.shape))}"
        )
    return values.reshape(sides)
