"""What every kind of job has at hand in its slice."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convnest_store.blobs import BlobStore
from convnest_store.errors import QuotaExceeded
from safetensors import SafetensorError

from convnest_worker.channel import Channel, Stopped


@dataclass(frozen=True)
class Context:
    """One slice of one attempt at one job."""

    channel: Channel
    blobs: BlobStore
    scratch_root: Path
    state_url: str
    job_id: str
    attempt: int
    spec: dict[str, Any]  # the kind's spec, complete
    inputs: dict[str, Any]  # what the runner looked up for the kind: see jobs/inputs.py

    def key(self, folder: str, name: str) -> str:
        """A blob key that no other attempt writes to."""
        return f"{folder}/{self.job_id}-{self.attempt}/{name}"

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A path for a file that is made, stored and dropped. Raises QuotaExceeded (disk full)."""
        with TemporaryDirectory(dir=self.scratch_root, prefix="slice-") as folder:
            try:
                yield Path(folder) / name
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise _full(self.scratch_root) from error
            except SafetensorError as error:
                # It has no class of its own for a full disk.
                if "os error 28" not in str(error):
                    raise
                raise _full(self.scratch_root) from error

    def give_way(self) -> None:
        """For work that cannot be saved half done: raises Stopped at any wish to end."""
        if self.channel.wish in ("stop", "cancel"):
            raise Stopped


def _full(folder: Path) -> QuotaExceeded:
    return QuotaExceeded(f"no space left in {folder}")
