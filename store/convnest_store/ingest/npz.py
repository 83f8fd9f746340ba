"""An `.npz` of `images` and `labels`, with `classes`, `test_images`, `test_labels` if you like.

`images` are (N, H, W) or (N, H, W, C): uint8, or floats from 0 to 1. `labels` are (N,): integers
from 0, or strings. NumPy's own reader is not used for the data: it would allocate what a header
claims before one byte of it is there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from convnest_store.datasets import MAX_CLASS_NAME, Dataset, LabelArray
from convnest_store.errors import DatasetRejected
from convnest_store.images import ImageShape, UInt8Array, fit
from convnest_store.ingest.archive import Archive, Member, read_exactly
from convnest_store.ingest.limits import (
    Limits,
    Progress,
    check_amount,
    check_classes,
    shape_of,
)

_REQUIRED = ("images", "labels")
_ALLOWED = (*_REQUIRED, "classes", "test_images", "test_labels")
_BLOCK = 2**20

_AnyArray = npt.NDArray[Any]  # Any: of the dtype its header names


def read_npz(
    archive: Archive, *, shape: ImageShape | None, limits: Limits, on_progress: Progress
) -> Dataset:
    """The dataset in the archive; raises DatasetRejected."""
    members = _members(archive)
    names = [name for name in ("images", "test_images") if name in members]
    total = sum(_image_count(archive, members[name], name) for name in names)
    parts: dict[str, UInt8Array] = {}
    done = 0
    for name in names:
        pixels = _read_images(
            archive, members[name], name, limits=limits, alive=lambda: on_progress(done, total)
        )
        shape = shape or shape_of(
            *pixels.shape[1:3], channels=pixels.shape[3], max_side=limits.max_side
        )
        check_amount(total, shape, limits)
        parts[name] = np.empty((len(pixels), *_sides(shape)), np.uint8)
        for index, image in enumerate(pixels):
            parts[name][index] = fit(image, shape)
            on_progress(done + index + 1, total)
        done += len(pixels)
    assert shape is not None
    ...
