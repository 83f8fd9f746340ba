"""The worker's settings."""

import os
import socket
from pathlib import Path
from typing import Literal

from convnest_process.settings import ProcessSettings
from pydantic import Field


class WorkerSettings(ProcessSettings):
    """Read once, in `__main__`; each is an environment variable CONVNEST_…"""

    worker_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")

    lease_s: float = Field(default=10.0, ge=0.5)
    """A job whose worker gives no sign of life for so long goes to another."""
    beat_s: float = Field(default=1.0, gt=0)
    """Between two signs of life; also how soon a wish to cancel is seen."""
    reap_s: float = Field(default=2.0, gt=0)
    """Between two looks for jobs without a worker (jittered)."""
    slice_s: float = Field(default=60.0, gt=0)
    """How long a job runs before it gives way, where others wait."""
    stall_s: float = Field(default=300.0, gt=0)
    """A slice that gets no further for so long is ended; the attempt failed."""
    drain_s: float = Field(default=8.0, gt=0)
    """At SIGTERM: how long a slice may take to write its checkpoint."""
    slice_niceness: int = Field(default=10, ge=0, le=19)
    """Training yields the processor to serving."""

    serving_instances: int = Field(default=1, ge=1, le=64)
    """Processes that serve one model version, over all workers."""
    serving_lease_s: float = Field(default=3.0, ge=0.5)
    """A model process whose worker gives no sign of life for so long is replaced elsewhere."""
    serving_idle_s: float = Field(default=300.0, gt=0)
    """A model nobody asked for so long leaves memory."""
    serving_stall_s: float = Field(default=30.0, gt=1.5)
    """A model process that tells nothing for so long, as it does between batches, is replaced."""
    serving_memory_bytes: int | None = Field(default=None, gt=0)
    """What model processes may use together; default: half of what the machine or cgroup has."""
    serving_batch: int = Field(default=64, ge=1, le=4096)
    """Most images that a model process computes at once."""

    kernels: Literal["auto", "numpy", "simd"] = "auto"
    """What computes: the generated kernels where they can be had, or NumPy's. Its processes read
    this and the next by themselves."""
    kernel_cache: Path | None = None
    """Where compiled kernels lie; default: in the user's cache directory."""
