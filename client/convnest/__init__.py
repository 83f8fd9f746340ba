"""ConvNest's client: train image classifiers on a ConvNest server, and ask them.

import convnest

with convnest.connect("localhost:50051") as client:
    job = client.train(dataset="digits", network="lenet", model="digits-lenet", epochs=20)
    for event in job.watch():
        ...
    client.classify("digits-lenet", ["seven.png"], top_k=3)
"""

from importlib.metadata import version as _version

from convnest.classifying import Classification, ClassScore
from convnest.client import Client, connect
from convnest.convert import ImageShape
from convnest.datasets import ClassCount, Dataset, Datasets, Sample
from convnest.errors import (
    AlreadyExists,
    Cancelled,
    ConvNestError,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from convnest.events import (
    CheckpointWritten,
    EpochFinished,
    JobEvent,
    LogWritten,
    ProgressMade,
    StateChanged,
    Truncated,
)
from convnest.images import ImageLike
from convnest.job_types import (
    CollectGarbageResult,
    CollectGarbageSpec,
    EpochMetrics,
    IngestResult,
    IngestSpec,
    JobError,
    JobKind,
    JobState,
    LayerSummary,
    Progress,
    RebuildResult,
    RebuildSpec,
    TrainResult,
    TrainSpec,
)
from convnest.jobs import Job, Jobs
from convnest.models import ClassMetrics, Model, Models, ModelVersion, Preprocessing
from convnest.networks import NetworkKind, NetworkOption, Networks
from convnest.system import ModelInstance, QueueStatus, RedisStatus, Status, WorkerStatus

__version__ = _version("convnest")

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "CheckpointWritten",
    "ClassCount",
    "ClassMetrics",
    "ClassScore",
    "Classification",
    "Client",
    "CollectGarbageResult",
    "CollectGarbageSpec",
    "ConvNestError",
    "Dataset",
    "Datasets",
    "DeadlineExceeded",
    "EpochFinished",
    "EpochMetrics",
    "FailedPrecondition",
    "FieldViolation",
    "ImageLike",
    "ImageShape",
    "IngestResult",
    "IngestSpec",
    "Internal",
    "InvalidArgument",
    "Job",
    "JobError",
    "JobEvent",
    "JobKind",
    "JobState",
    "Jobs",
    "LayerSummary",
    "LogWritten",
    "Model",
    "ModelInstance",
    "ModelVersion",
    "Models",
    "NetworkKind",
    "NetworkOption",
    "Networks",
    "NotFound",
    "Preprocessing",
    "Progress",
    "ProgressMade",
    "QueueStatus",
    "RebuildResult",
    "RebuildSpec",
    "RedisStatus",
    "ResourceExhausted",
    "Sample",
    "StateChanged",
    "Status",
    "TrainResult",
    "TrainSpec",
    "Truncated",
    "Unavailable",
    "Unimplemented",
    "WorkerStatus",
    "__version__",
    "connect",
]
