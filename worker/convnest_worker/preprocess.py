"""From uint8 pixels to a network's input, the same in training and in serving."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from convnest_store.images import ImageShape
from convnest_store.registry import Preprocessing

_CHUNK = 1024


@dataclass(frozen=True)
class Normalisation:
    """x ↦ x · scale + offset per channel: divide by 255, take off the mean, divide by the std."""

    scale: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]

    @classmethod
    def of(cls, prepare: Preprocessing) -> "Normalisation":
        """What a model's preprocessing comes to."""
        mean, std = np.asarray(prepare.mean), np.asarray(prepare.std)
        return cls(
            scale=(1 / (255 * std)).astype(np.float32), offset=(-mean / std).astype(np.float32)
        )

    def pixels(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(…, height, width, channels) of 0 to 255 to the network's input."""
        x = images.astype(np.float32)
        x *= self.scale
        x += self.offset
        return x

    def unit(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(…, height, width, channels) in [0, 1] to the network's input."""
        x: npt.NDArray[np.float32] = images * (self.scale * np.float32(255))
        x += self.offset
        return x


def measure(images: npt.NDArray[np.uint8], shape: ImageShape) -> Preprocessing:
    """Mean and standard deviation per channel of (n, height, width, channels), in [0, 1]."""
    total = np.zeros(shape.channels)
    squares = np.zeros(shape.channels)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].reshape(-1, shape.channels).astype(np.float64) / 255
        total += chunk.sum(axis=0)
        squares += np.square(chunk).sum(axis=0)
    count = len(images) * shape.height * shape.width
    mean = total / count
    # A channel of one value stays as it is.
    variance = np.maximum(squares / count - np.square(mean), 0)
    std = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    return Preprocessing(shape, tuple(mean.tolist()), tuple(std.tolist()))
