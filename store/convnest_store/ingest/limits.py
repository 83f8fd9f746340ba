"""How much an uploaded file may hold."""

from collections.abc import Callable
from dataclasses import dataclass

from convnest_store.errors import DatasetRejected
from convnest_store.images import MAX_PIXELS, ImageShape

Progress = Callable[[int, int], None]
"""Called with the images done and the images in all; may raise to stop the work."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what is read; sizes are in bytes."""

    max_images: int = 1_000_000
    max_classes: int = 10_000
    max_bytes: int = 2 * 2**30
    """Of all decoded images together, in memory."""
    max_entries: int = 100_000
    """Of an archive, files and folders."""
    max_archive_bytes: int = 16 * 2**30
    """Of an archive, unpacked."""
    max_file_bytes: int = 64 * 2**20
    """Of one picture, encoded."""
    max_pixels: int = MAX_PIXELS
    """Of one picture, decoded, before it is resized."""
    max_side: int = 256
    """Of the images, where no shape is asked for: larger ones are scaled down to it."""


DEFAULT_LIMITS = Limits()


def shape_of(height: int, width: int, *, channels: int, max_side: int) -> ImageShape:
    """The given size, scaled down so that its longer side is at most `max_side`."""
    longest = max(height, width)
    if longest > max_side:
        height = max(1, round(height * max_side / longest))
        width = max(1, round(width * max_side / longest))
    return ImageShape(height, width, channels)


def check_amount(count: int, shape: ImageShape, limits: Limits) -> None:
    """Raises DatasetRejected unless so many images of that shape are allowed."""
    if count == 0:
        raise DatasetRejected("images", "a dataset needs images, got zero")
    if count > limits.max_images:
        raise DatasetRejected(
            "images", f"{count:,} images; at most {limits.max_images:,} are allowed"
        )
    if count * shape.size_bytes > limits.max_bytes:
        raise DatasetRejected(
            "images",
            f"{count:,} images of {shape} take {count * shape.size_bytes:,} bytes in memory; "
            f"at most {limits.max_bytes:,} are allowed (ask for a smaller shape)",
        )


def check_classes(count: int, limits: Limits) -> None:
    """Raises DatasetRejected unless so many classes are allowed."""
    if count > limits.max_classes:
        raise DatasetRejected(
            "classes", f"{count:,} classes; at most {limits.max_classes:,} are allowed"
        )
