"""The one way in: a file, what it claims to be, and the limits it must keep."""

from pathlib import Path
from typing import Literal

from convnest_store.datasets import Dataset
from convnest_store.images import ImageShape
from convnest_store.ingest.archive import Archive
from convnest_store.ingest.folders import read_folders
from convnest_store.ingest.limits import DEFAULT_LIMITS, Limits, Progress
from convnest_store.ingest.npz import read_npz


def read_dataset(
    path: Path,
    *,
    format: Literal["npz", "zip"],
    shape: ImageShape | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Progress = lambda _done, _total: None,
) -> Dataset:
    """Read an npz of arrays or a zip of one folder per class, its images resized to `shape`.

    Without a shape the data decides: an npz keeps its own; a zip takes the most common size of up
    to 1,000 pictures spread evenly over it, grey if all of those are grey. Either is scaled down to
    `limits.max_side`. Nothing is unpickled, nothing is written to disk, and memory holds the
    decoded images and little more. Raises DatasetRejected.
    """
    read = {"npz": read_npz, "zip": read_folders}[format]
    with path.open("rb") as file:
        return read(Archive(file, limits), shape=shape, limits=limits, on_progress=on_progress)
