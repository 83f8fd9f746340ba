"""Settings that the server and the worker share; each is an environment variable CONVNEST_…"""

from pathlib import Path
from tempfile import gettempdir
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProcessSettings(BaseSettings):
    """Read once, in `__main__`, and passed down."""

    model_config = SettingsConfigDict(env_prefix="CONVNEST_", env_file=None, extra="ignore")

    state_url: str = "redis://localhost:6379/0"
    """Redis for records: append-only file, `appendfsync always`. redis://, rediss:// or unix://."""
    queue_url: str = "redis://localhost:6379/1"
    """Redis for Celery and waiting requests: no persistence. One server may play both roles."""
    blob_url: str = "convnest-blobs"
    """Where datasets, checkpoints and weights lie: a directory, or s3://bucket/path."""
    runtime_dir: Path = Field(default_factory=lambda: Path(gettempdir()) / "convnest")
    """For scratch files and the cache of remote blobs."""
    parent_fd: int | None = None
    """The reading end of a pipe: when it ends, so does this process."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """auto: JSON unless stderr is a terminal."""
