"""A labelled set of images of one shape, named by its content, kept as one safetensors file."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from convnest_store.errors import BlobCorrupt, DatasetRejected, FailedPrecondition, InvalidInput
from convnest_store.images import ImageShape, UInt8Array

SCHEMA_VERSION = 1
MAX_CLASS_NAME = 200

LabelArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.int64]

_METADATA_KEY = "convnest"
_TENSORS = ("images", "labels", "test_images", "test_labels")


@dataclass(frozen=True)
class DatasetSummary:
    """What a listing shows: counts are images per class, in the order of `classes`."""

    digest: str
    shape: ImageShape
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    size_bytes: int

    @property
    def images(self) -> int:
        """How many there are to train and validate on."""
        return sum(self.counts)

    @property
    def test_images(self) -> int:
        """How many are held out."""
        return sum(self.test_counts)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images (N, H, W, C) uint8, their labels (N,) int64 into `classes`, and a held-out test part.

    The test part is never trained or validated on; it may be empty. Every class has an image
    outside it. Raises DatasetRejected when the parts do not fit. Compare by `digest`.
    """

    images: UInt8Array = field(repr=False)
    labels: LabelArray = field(repr=False)
    classes: tuple[str, ...]
    test_images: UInt8Array = field(repr=False)
    test_labels: LabelArray = field(repr=False)

    def __post_init__(self) -> None:
        _check_classes(self.classes)
        _check_part("images", self.images, self.labels, self.classes)
        _check_part("test_images", self.test_images, self.test_labels, self.classes)
        if self.images.shape[1:] != self.test_images.shape[1:]:
            raise DatasetRejected(
                "test_images",
                f"test_images are {_times(self.test_images.shape[1:])}; "
                f"like images they must be {_times(self.images.shape[1:])}",
            )
        if len(self.images) == 0:
            raise DatasetRejected("images", "a dataset needs images, got zero")
        for name, count in zip(self.classes, self._counts(self.labels), strict=True):
            if count == 0:
                raise DatasetRejected("labels", f"class {name!r} has no image; each needs one")
        _ = self.shape  # raises on sides and channels that are not allowed

    @cached_property
    def shape(self) -> ImageShape:
        """Of every image."""
        height, width, channels = self.images.shape[1:]
        return ImageShape(height, width, channels)

    @cached_property
    def digest(self) -> str:
        """`sha256:<hex>` over the classes, shapes and bytes, however the dataset was packed."""
        arrays = [np.ascontiguousarray(getattr(self, name)) for name in _TENSORS]
        head = {"classes": self.classes, "shapes": [array.shape for array in arrays]}
        sha = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for array in arrays:
            sha.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
        return f"sha256:{sha.hexdigest()}"

    def summary(self) -> DatasetSummary:
        """Counts per class, shape and size in memory."""
        return DatasetSummary(
            digest=self.digest,
            shape=self.shape,
            classes=self.classes,
            counts=self._counts(self.labels),
            test_counts=self._counts(self.test_labels),
            size_bytes=sum(getattr(self, name).nbytes for name in _TENSORS),
        )

    def split(self, seed: int, validation_fraction: float) -> tuple[IndexArray, IndexArray]:
        """Indices to train on and to validate on, ascending, stratified by class.

        A class of two or more keeps at least one on each side; a class of one trains. Fraction 0
        validates on nothing. The order is drawn from Philox's raw bits, which NumPy keeps stable.
        Raises InvalidInput.
        """
        if not 0 <= seed < 2**64:
            raise InvalidInput("seed", f"seed must be 0 to 2^64 - 1, got {seed}")
        if not 0 <= validation_fraction < 1:
            raise InvalidInput(
                "validation_fraction",
                f"validation_fraction must be at least 0 and below 1, got {validation_fraction}",
            )
        draws = np.random.Philox(key=seed).random_raw(len(self.labels))
        shuffled = np.lexsort((draws, self.labels))  # by class, and within it at random
        validation = np.zeros(len(self.labels), dtype=bool)
        start = 0
        for count in self._counts(self.labels):
            held = round(count * validation_fraction)
            if validation_fraction > 0:
                held = min(max(held, 1), count - 1)
            validation[shuffled[start : start + held]] = True
            start += count
        return np.flatnonzero(~validation), np.flatnonzero(validation)

    def save(self, path: Path) -> None:
        """Write one safetensors file; the same content gives the same bytes."""
        about = {"schema": SCHEMA_VERSION, "classes": self.classes, "digest": self.digest}
        # One metadata entry: safetensors writes several in no fixed order.
        metadata = {_METADATA_KEY: json.dumps(about, sort_keys=True)}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        save_file(arrays, path, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote and verify it.

        Raises BlobCorrupt, or FailedPrecondition for a newer schema.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                about = _about(path, file.metadata())
                arrays = {name: file.get_tensor(name) for name in _TENSORS}
            dataset = cls(classes=tuple(about["classes"]), **arrays)
        except (SafetensorError, InvalidInput, KeyError, TypeError) as error:
            raise BlobCorrupt(f"{path.name} is not a stored dataset: {error}") from error
        if dataset.digest != about["digest"]:
            raise BlobCorrupt(f"{path.name} holds {dataset.digest}, its header {about['digest']}")
        return dataset

    def _counts(self, labels: LabelArray) -> tuple[int, ...]:
        return tuple(np.bincount(labels, minlength=len(self.classes)).tolist())


def _about(path: Path, metadata: Mapping[str, str] | None) -> Mapping[str, Any]:  # Any: JSON
    try:
        about = json.loads((metadata or {})[_METADATA_KEY])
        schema = about["schema"]
    except (KeyError, TypeError, ValueError) as error:
        raise BlobCorrupt(f"{path.name} has no dataset header") from error
    if schema != SCHEMA_VERSION:
        raise FailedPrecondition(
            f"{path.name} has dataset schema {schema}; this version reads {SCHEMA_VERSION}"
        )
    return cast(Mapping[str, Any], about)


def _check_classes(classes: tuple[str, ...]) -> None:
    if len(classes) < 2:
        raise DatasetRejected("classes", f"at least 2 classes are needed, got {list(classes)}")
    for name in classes:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_CLASS_NAME:
            raise DatasetRejected(
                "classes", f"a class name must have 1 to {MAX_CLASS_NAME} characters, got {name!r}"
            )
        if not name.isprintable():
            raise DatasetRejected("classes", f"a class name must be printable, got {name!r}")
    name, times = Counter(classes).most_common(1)[0]
    if times > 1:
        raise DatasetRejected("classes", f"class names must differ, got {name!r} {times} times")


def _check_part(
    name: str, images: UInt8Array, labels: LabelArray, classes: tuple[str, ...]
) -> None:
    """`images` and their labels agree with each other and with `classes`."""
    labels_name = name.replace("images", "labels")
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DatasetRejected(
            name, f"{name} must be uint8 (N, H, W, C), got {images.dtype} {images.shape}"
        )
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise DatasetRejected(
            labels_name, f"{labels_name} must be int64 (N,), got {labels.dtype} {labels.shape}"
        )
    if len(images) != len(labels):
        raise DatasetRejected(
            labels_name,
            f"{len(images):,} {name} but {len(labels):,} {labels_name}; they must match",
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(classes)):
        raise DatasetRejected(
            labels_name,
            f"{labels_name} must be 0 to {len(classes) - 1}, got {labels.min()} to {labels.max()}",
        )


def _times(sides: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in sides)
