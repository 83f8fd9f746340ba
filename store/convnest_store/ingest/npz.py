"""An `.npz` of `images` and `labels`, with `classes`, `test_images`, `test_labels` if you like.

`images` are (N, H, W) or (N, H, W, C): uint8, or floats from 0 to 1. `labels` are (N,): integers
from 0, or strings. `classes` name the integers, or list the strings allowed.
"""

from collections.abc import Callable, Mapping

import numpy as np

from convnest_store.datasets import MAX_CLASS_NAME, Dataset, LabelArray
from convnest_store.images import ImageShape, UInt8Array, fit
from convnest_store.ingest.archive import Archive
from convnest_store.ingest.limits import Limits, Progress, check_amount, check_classes, shape_of
from convnest_store.ingest.npy import AnyArray, StoredArray, refuse, stored_array

_REQUIRED = ("images", "labels")
_ALLOWED = (*_REQUIRED, "classes", "test_images", "test_labels")


def read_npz(
    archive: Archive, *, shape: ImageShape | None, limits: Limits, on_progress: Progress
) -> Dataset:
    """The dataset in the archive; raises DatasetRejected."""
    arrays = _arrays(archive)
    train, test = arrays["images"], arrays.get("test_images")
    for part in (train, test) if test else (train,):
        _check_images(part, arrays[part.name.replace("images", "labels")], limits=limits)
    if test and _sides(test) != _sides(train):
        refuse("test_images", f"test_images are {_sides(test)}; images are {_sides(train)}")
    height, width, channels = _sides(train)
    shape = shape or shape_of(height, width, channels=channels, max_side=limits.max_side)
    total = train.shape[0] + (test.shape[0] if test else 0)
    check_amount(train.shape[0], shape, limits)
    check_amount(total, shape, limits)
    labels, test_labels, classes = _read_labels(arrays, limits)
    images = _read_images(train, shape, on_progress=lambda done: on_progress(done, total))
    test_images = np.empty((0, *images.shape[1:]), np.uint8)
    if test:
        test_images = _read_images(
            test, shape, on_progress=lambda done: on_progress(len(images) + done, total)
        )
    return Dataset(
        images=images,
        labels=labels,
        classes=classes,
        test_images=test_images,
        test_labels=test_labels,
    )


def _arrays(archive: Archive) -> dict[str, StoredArray]:
    """The headers of the members; those allowed, all required."""
    arrays: dict[str, StoredArray] = {}
    for member in archive.members:
        name = member.name.removesuffix(".npy")
        if name not in _ALLOWED:
            refuse("archive", f"{name!r} is no array of a dataset; there are {', '.join(_ALLOWED)}")
        if name in arrays:
            refuse("archive", f"{name} is in the archive twice")
        arrays[name] = stored_array(archive, member, name)
    for name in _REQUIRED:
        if name not in arrays:
            refuse(name, f"{name} is missing; got {', '.join(arrays) or 'nothing'}")
    if ("test_images" in arrays) != ("test_labels" in arrays):
        refuse("test_images", "test_images and test_labels need each other; only one is there")
    return arrays


def _check_images(images: StoredArray, labels: StoredArray, *, limits: Limits) -> None:
    name, dtype, shape = images.name, images.dtype, images.shape
    if len(shape) not in (3, 4) or 0 in shape[1:] or (len(shape) == 4 and shape[3] not in (1, 3)):
        refuse(name, f"{name} must be (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {shape}")
    if dtype != np.uint8 and dtype.kind != "f":
        refuse(name, f"{name} must be uint8, or floats from 0 to 1, got {dtype}")
    if len(labels.shape) != 1 or labels.shape[0] != shape[0]:
        refuse(
            labels.name,
            f"{labels.name} must be ({shape[0]},), one for each of {name}, got {labels.shape}",
        )
    if images.size > limits.max_bytes:
        refuse(name, f"{name} has {images.size:,} values; at most {limits.max_bytes:,} are allowed")


def _sides(images: StoredArray) -> tuple[int, int, int]:
    """Height, width and channels."""
    height, width, channels = (*images.shape[1:], 1)[:3]
    return height, width, channels


def _read_images(
    stored: StoredArray, shape: ImageShape, *, on_progress: Callable[[int], None]
) -> UInt8Array:
    """The images as uint8 (N, H, W, C) of `shape`."""
    flat = np.empty(stored.size, np.uint8)
    start = 0
    for block in stored.blocks():
        flat[start : start + len(block)] = _as_bytes(block, stored, start)
        start += len(block)
        on_progress(0)  # nothing is done yet, but we are alive
    if stored.is_fortran:
        flat = np.ascontiguousarray(flat.reshape(stored.shape[::-1]).T)
    pixels = flat.reshape(stored.shape[0], *_sides(stored))
    wanted = (shape.height, shape.width, shape.channels)
    if pixels.shape[1:] != wanted:
        resized = np.empty((len(pixels), *wanted), np.uint8)
        for index, image in enumerate(pixels):
            resized[index] = fit(image, shape)
            on_progress(index + 1)
        return resized
    on_progress(len(pixels))
    return pixels


def _as_bytes(block: AnyArray, stored: StoredArray, start: int) -> UInt8Array:
    if block.dtype == np.uint8:
        return block
    allowed = (block >= 0) & (block <= 1)  # neither holds for NaN
    if not allowed.all():
        first = int(np.argmin(allowed))
        image = stored.row(start + first)
        refuse(
            stored.name,
            f"{stored.name} of floats must be 0 to 1, got {block[first]} in image {image} "
            "(save 0 to 255 as uint8)",
        )
    return np.rint(block.astype(np.float64) * 255).astype(np.uint8)


def _read_labels(
    arrays: Mapping[str, StoredArray], limits: Limits
) -> tuple[LabelArray, LabelArray, tuple[str, ...]]:
    """Labels, test labels, and the classes they number."""
    raw = _read_flat(arrays["labels"], kinds="iuUS", limits=limits)
    raw_test = raw[:0]
    if "test_labels" in arrays:
        raw_test = _read_flat(arrays["test_labels"], kinds="iuUS", limits=limits)
    classes = None
    if "classes" in arrays:
        classes = tuple(_read_flat(arrays["classes"], kinds="US", limits=limits).tolist())
    if raw.dtype.kind == "U":
        classes = classes or tuple(np.unique(raw).tolist())
        check_classes(len(classes), limits)
        return _indices(raw, "labels", classes), _indices(raw_test, "test_labels", classes), classes
    if classes is None:
        highest = int(raw.max())
        check_classes(highest + 1, limits)
        classes = tuple(str(number) for number in range(highest + 1))
    check_classes(len(classes), limits)
    return (
        _numbers(raw, "labels", len(classes)),
        _numbers(raw_test, "test_labels", len(classes)),
        classes,
    )


def _read_flat(stored: StoredArray, *, kinds: str, limits: Limits) -> AnyArray:
    """A whole one-dimensional array of integers or strings; bytes are read as UTF-8."""
    name, dtype = stored.name, stored.dtype
    if dtype.kind not in kinds:
        allowed = "strings" if kinds == "US" else "integers or strings"
        refuse(name, f"{name} must be {allowed}, got {dtype}")
    if dtype.kind in "US" and dtype.itemsize > 4 * MAX_CLASS_NAME:
        refuse(name, f"{name} must have at most {MAX_CLASS_NAME} characters each, got {dtype}")
    if len(stored.shape) != 1 or stored.size > limits.max_images:
        refuse(name, f"{name} must be (N,), N at most {limits.max_images:,}, got {stored.shape}")
    values = np.concatenate([np.empty(0, dtype), *stored.blocks()])
    try:
        return np.char.decode(values, "utf-8") if dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        refuse(name, f"{name} must be UTF-8: {error}")


def _numbers(raw: AnyArray, name: str, classes: int) -> LabelArray:
    if raw.dtype.kind == "U":
        refuse(name, f"{name} are strings; like labels they must be integers")
    outside = (raw < 0) | (raw >= classes)
    if outside.any():
        refuse(name, f"{name} must be 0 to {classes - 1}, got {raw[outside][0]}")
    return raw.astype(np.int64)


def _indices(raw: AnyArray, name: str, classes: tuple[str, ...]) -> LabelArray:
    if raw.dtype.kind != "U":
        refuse(name, f"{name} are integers; like labels they must be strings")
    number = {class_name: index for index, class_name in enumerate(classes)}
    names, inverse = np.unique(raw, return_inverse=True)
    for class_name in names.tolist():
        if class_name not in number:
            refuse(name, f"{name} holds {class_name!r}, which is not one of the classes")
    table = np.array([number[class_name] for class_name in names.tolist()], np.int64)
    return table[inverse] if len(table) else np.empty(0, np.int64)
