"""A zip of pictures, one folder per class: `<class>/<picture>`, or with a held-out part
`train/<class>/<picture>` and `test/<class>/<picture>`; either may lie in one folder more.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnest_store.datasets import Dataset, LabelArray
from convnest_store.errors import DatasetRejected, ImageRejected
from convnest_store.images import ImageShape, UInt8Array, decode, probe
from convnest_store.ingest.archive import Archive, Member
from convnest_store.ingest.limits import (
    Limits,
    Progress,
    check_amount,
    check_classes,
    shape_of,
)

_PROBED = 1_000
_LAYOUT = "<class>/<picture>, or train/<class>/<picture> and test/<class>/<picture>"
_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class _Picture:
    class_name: str
    parts: tuple[str, ...]
    member: Member


def read_folders(
    archive: Archive, *, shape: ImageShape | None, limits: Limits, on_progress: Progress
) -> Dataset:
    """The dataset in the archive; order and digest depend on names and contents alone.

    Classes are in the order of their names, by number where all are numbers. Raises
    DatasetRejected.
    """
    train, test, classes = _found(archive)
    check_classes(len(classes), limits)
    pictures = [*train, *test]
    if shape is None:
        shape = _common_shape(archive, pictures, limits=limits, on_progress=on_progress)
    check_amount(len(pictures), shape, limits)
    images = np.empty((len(pictures), shape.height, shape.width, shape.channels), np.uint8)
    for done, picture in enumerate(pictures):
        images[done] = _decoded(archive, picture.member, shape=shape, limits=limits)
        on_progress(done + 1, len(pictures))
    number = {name: index for index, name in enumerate(classes)}
    labels: LabelArray = np.array([number[picture.class_name] for picture in pictures], np.int64)
    return Dataset(
        images=images[: len(train)],
        labels=labels[: len(train)],
        classes=classes,
        test_images=images[len(train) :],
        test_labels=labels[len(train) :],
    )


def _found(archive: Archive) -> tuple[list[_Picture], list[_Picture], tuple[str, ...]]:
    """The pictures to train on, those held out, and the classes."""
    members = _without_common_folder([m for m in archive.members if not _is_litter(m.parts)])
    files = [(parts, member) for parts, member in members if not member.is_folder]
    folders = {parts for parts, member in members if member.is_folder}
    if not files:
        raise DatasetRejected("images", f"no pictures in the archive; expected {_LAYOUT}")
    in_parts = all(len(parts) == 3 and parts[0] in ("train", "test") for parts, _ in files)
    depth = 3 if in_parts else 2
    for parts, member in files:
        if len(parts) != depth:
            raise DatasetRejected(
                "archive", f"{member.name} is not in a class folder; expected {_LAYOUT}"
            )
    train = _pictures(files, "train" if in_parts else None)
    test = _pictures(files, "test") if in_parts else []
    classes = {picture.class_name for picture in train}
    named = {parts[1] for parts in folders if in_parts and len(parts) == 2 and parts[0] == "train"}
    if not in_parts:
        named = {parts[0] for parts in folders if len(parts) == 1}
    for name in sorted((named | {picture.class_name for picture in test}) - classes):
        raise DatasetRejected(
            "classes", f"class {name!r} has no picture to train on; each needs one"
        )
    return train, test, _ordered(classes)


def _without_common_folder(
    members: Sequence[Member],
) -> list[tuple[tuple[str, ...], Member]]:
    """The members' paths, without the folder that all of them lie in beside the class folders."""
    files = [member.parts for member in members if not member.is_folder]
    nested = all(len(parts) >= 3 for parts in files)
    if not nested or len({parts[0] for parts in files}) != 1:
        return [(member.parts, member) for member in members]
    return [(member.parts[1:], member) for member in members]


def _pictures(files: Sequence[tuple[tuple[str, ...], Member]], part: str | None) -> list[_Picture]:
    """Those in the part, in the order of class and name."""
    return sorted(
        (
            _Picture(parts[-2], parts, member)
            for parts, member in files
            if part is None or parts[0] == part
        ),
        key=lambda picture: (picture.class_name, picture.parts),
    )


def _is_litter(parts: tuple[str, ...]) -> bool:
    """What desktops leave in a zip."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in parts)


def _ordered(classes: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdecimal() for name in classes):
        return tuple(
            sorted(classes, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
        )
    return tuple(sorted(classes))


def _common_shape(
    archive: Archive, pictures: Sequence[_Picture], *, limits: Limits, on_progress: Progress
) -> ImageShape:
    """The most common size, the larger of two that are; grey if every one is grey."""
    sizes: Counter[tuple[int, int]] = Counter()
    channels = 1
    for picture in pictures[:: -(-len(pictures) // _PROBED)]:
        data = archive.read(picture.member, max_bytes=limits.max_file_bytes)
        try:
            height, width, own_channels = probe(data, max_pixels=limits.max_pixels)
        except ImageRejected as error:
            raise _named(picture.member, error) from error
        sizes[height, width] += 1
        channels = max(channels, own_channels)
        on_progress(0, len(pictures))
    height, width = max(sizes, key=lambda size: (sizes[size], size))
    return shape_of(height, width, channels=channels, max_side=limits.max_side)


def _decoded(archive: Archive, member: Member, *, shape: ImageShape, limits: Limits) -> UInt8Array:
    data = archive.read(member, max_bytes=limits.max_file_bytes)
    try:
        return decode(data, shape, max_pixels=limits.max_pixels)
    except ImageRejected as error:
        raise _named(member, error) from error


def _named(member: Member, error: ImageRejected) -> DatasetRejected:
    return DatasetRejected("archive", f"{member.name}: {error.message}")
