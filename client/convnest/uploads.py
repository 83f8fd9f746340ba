"""What is uploaded: a file as it is, or a folder zipped on the fly."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from convnest.errors import InvalidArgument

CHUNK_BYTES: Final = 256 * 1024

# The same folder gives the same bytes: no times of files in the archive.
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Upload:
    """An open file to send, and what it is: "npz" or "zip"."""

    file: IO[bytes]
    format: str
    size_bytes: int

    def chunks(self, on_progress: Callable[[int, int], None] | None) -> Iterator[bytes]:
        """The file's bytes; `on_progress` is told bytes sent so far and in all."""
        sent = 0
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if on_progress is not None:
                on_progress(sent, self.size_bytes)


@contextmanager
def open_upload(path: str | os.PathLike[str]) -> Iterator[Upload]:
    """Opens an .npz or .zip file, or zips a folder into a temporary file.

    InvalidArgument where `path` is neither; OSError where it cannot be read.
    """
    source = Path(path)
    if source.is_dir():
        with tempfile.TemporaryFile(prefix="convnest-") as file:
            zip_folder(source, file)
            file.seek(0)
            yield Upload(file, "zip", os.fstat(file.fileno()).st_size)
        return
    suffix = source.suffix.lower()
    if source.exists() and suffix not in (".npz", ".zip"):
        raise InvalidArgument.of("path", f"must be a folder, a .zip or an .npz file, got {source}")
    with source.open("rb") as file:
        yield Upload(file, suffix[1:], os.fstat(file.fileno()).st_size)


def zip_folder(folder: Path, target: IO[bytes]) -> None:
    """Writes the regular files under `folder` to a zip, ordered by name.

    Links are not followed and not stored; names that start with a dot are left out. Images are
    compressed already, so they are stored as they are.
    """
    files = list(_regular_files(folder))
    if not files:
        raise InvalidArgument.of("path", f"no files in folder {folder}")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            name = path.relative_to(folder).as_posix()
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise InvalidArgument.of("path", f"not a UTF-8 name: {name!a}") from error
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.external_attr = 0o100644 << 16
            with path.open("rb") as source:
                entry.file_size = os.fstat(source.fileno()).st_size
                with archive.open(entry, "w") as member:
                    shutil.copyfileobj(source, member)


def _regular_files(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _regular_files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
