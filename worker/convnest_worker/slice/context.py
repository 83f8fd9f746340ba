"""What every kind of job has at hand in its slice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convnest_store.blobs import BlobStore

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
        """A path for a file that is made, stored and dropped."""
        with TemporaryDirectory(dir=self.scratch_root, prefix="slice-") as folder:
            yield Path(folder) / name

    def give_way(self) -> None:
        """For work that cannot be saved half done: raises Stopped at any wish to end."""
        if self.channel.wish in ("stop", "cancel"):
            raise Stopped
