"""The server's settings."""

from pathlib import Path

from convnest_process.settings import ProcessSettings
from pydantic import Field


class ServerSettings(ProcessSettings):
    """Read once, in `__main__`; each is an environment variable CONVNEST_…"""

    listen: str = "127.0.0.1:50051"
    """Address to serve on; port 0 takes a free one."""
    address_file: Path | None = None
    """Where to write the address once it is bound."""

    max_message_bytes: int = Field(default=32 * 2**20, ge=2**16)
    """Largest message taken."""
    max_upload_bytes: int = Field(default=4 * 2**30, ge=1)
    """Largest dataset file taken."""
    max_uploads: int = Field(default=4, ge=1)
    """Uploads at a time."""
    blocking_threads: int = Field(default=16, ge=1)
    """Threads for calls to Redis and to blob storage."""
    blocking_waiting: int = Field(default=1000, ge=1)
    """Calls that may wait for such a thread."""

    queue_requests: int = Field(default=2000, ge=1)
    """Images that may wait for one model version."""
    queue_bytes: int = Field(default=256 * 2**20, ge=2**20)
    """Their size."""
    pending_requests: int = Field(default=8000, ge=1)
    """Images that this server may hold for all its callers."""
    pending_bytes: int = Field(default=512 * 2**20, ge=2**20)
    """Their size."""
    classify_timeout_s: float = Field(default=30.0, gt=0)
    """For callers that set no deadline; also the longest there is."""
    stop_grace_s: float = Field(default=3.0, ge=0)
    """At SIGTERM: how long calls may take to end."""
