"""What a stack can be told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/convnest`, or `~/.local/share/convnest`."""
    data_home = os.environ.get("XDG_DATA_HOME", "")
    home = Path(data_home) if Path(data_home).is_absolute() else Path.home() / ".local" / "share"
    return home / "convnest"


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class StackOptions(BaseSettings):
    """The stack's settings: as given, else from `CONVNEST_<NAME>`, else the default."""

    model_config = SettingsConfigDict(env_prefix="CONVNEST_", frozen=True)

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(default_factory=default_data_dir)
    """Everything that must outlive the stack: records, blobs, logs."""
    host: str = "127.0.0.1"
    """The address that the server listens on."""
    port: int = Field(default=50051, ge=0, le=65535)
    """The server's port; 0 lets the system choose a free one."""
    workers: int = Field(default=1, ge=1, le=64)
    """Worker processes."""
    state_url: str | None = None
    """A Redis of your own for records (`redis://`, `unix://`); none is started for this role."""
    queue_url: str | None = None
    """A Redis of your own for queues; none is started for this role."""
    blob_url: str | None = None
    """Where datasets and weights lie instead of the data directory (`s3://bucket/path`)."""
    runtime_dir: Annotated[Path, AfterValidator(_absolute)] | None = None
    """Where the private directory of the sockets is made; its path must be short."""
    ready_timeout_s: float = Field(default=60.0, gt=0)
    """How long each part may take to become ready at the start."""
