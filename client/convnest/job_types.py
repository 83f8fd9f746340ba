"""What a job is asked to do, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from convnest.convert import ImageShape


class JobKind(StrEnum):
    """What a job does."""

    TRAIN = "TRAIN"
    INGEST = "INGEST"
    COLLECT_GARBAGE = "COLLECT_GARBAGE"
    REBUILD = "REBUILD"
    UNSPECIFIED = "UNSPECIFIED"


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNSPECIFIED = "UNSPECIFIED"

    @property
    def is_final(self) -> bool:
        """The job will never leave this state."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Everything that decides a training job's outcome. None leaves the choice to the server.

    `network` is a name (`"lenet"`), a name with options (`{"name": "lenet", "options": {…}}`), or
    a list of layers. `optimizer` and `schedule` are names (`"adam"`, `"cosine"`) or names with
    settings (`{"name": "cosine", "warmup_epochs": 2}`); `learning_rate`, `momentum` and
    `weight_decay` are short for the optimizer's settings. `class_weights` are by class name.
    `augment` lists how training images are varied, in order: names (`"flip"`), or names with
    settings (`{"name": "crop", "padding": 4}`). `keep` says which epoch's weights become the model,
    `"last"` or `"best"`; `stop_patience` ends a training that does not improve for so many epochs.
    """

    dataset: str
    network: str | Mapping[str, object] | Sequence[Mapping[str, object]]
    model: str
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    optimizer: str | Mapping[str, object] | None = None
    schedule: str | Mapping[str, object] | None = None
    loss: str | None = None
    label_smoothing: float | None = None
    class_weights: Mapping[str, float] | None = None
    augment: Sequence[str | Mapping[str, object]] | None = None
    validation_fraction: float | None = None
    keep: str | None = None
    stop_patience: int | None = None
    seed: int | None = None
    checkpoint_interval_s: float | None = None

    @property
    def network_name(self) -> str:
        """The architecture's name; "layers" where it is given layer by layer."""
        if isinstance(self.network, str):
            return self.network
        name = self.network.get("name") if isinstance(self.network, Mapping) else None
        return str(name or "layers")


@dataclass(frozen=True)
class IngestSpec:
    """What an ingest job reads and makes; `builtin` or `format` is empty."""

    dataset: str
    builtin: str
    format: str
    shape: ImageShape | None


@dataclass(frozen=True)
class CollectGarbageSpec:
    """What a garbage collection may delete."""

    dry_run: bool
    min_age_s: float | None


@dataclass(frozen=True)
class RebuildSpec:
    """A rebuild takes no options."""


Spec = TrainSpec | IngestSpec | CollectGarbageSpec | RebuildSpec


@dataclass(frozen=True)
class Progress:
    """How far a running job is; `done` of `total` units (0: unknown) of the present phase."""

    phase: str
    done: int
    total: int
    epoch: int
    epochs: int
    loss: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EpochMetrics:
    """What one finished epoch came to; accuracies are shares in [0, 1]."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    validation_top5: float
    """Share of validation images whose class is among the five likeliest."""
    learning_rate: float
    """The step size at the epoch's end."""


@dataclass(frozen=True)
class JobError:
    """Why a job, or one of its attempts, ended badly."""

    reason: str
    message: str
    field: str
    attempt: int
    time: datetime | None
    stderr_tail: str


@dataclass(frozen=True)
class TrainResult:
    """The model version that a training job registered."""

    model: str
    version: int
    weights_digest: str
    validation_accuracy: float
    test_accuracy: float | None
    epoch: int
    """The one whose weights were registered."""


@dataclass(frozen=True)
class IngestResult:
    """The dataset that an ingest job made."""

    dataset: str
    digest: str


@dataclass(frozen=True)
class CollectGarbageResult:
    """What a garbage collection deleted (or would have) and kept."""

    blobs: int
    bytes: int
    kept: int


@dataclass(frozen=True)
class RebuildResult:
    """What a rebuild brought back, and the manifests it could not use."""

    model_versions: int
    datasets: int
    problems: tuple[str, ...]


Result = TrainResult | IngestResult | CollectGarbageResult | RebuildResult


@dataclass(frozen=True)
class LayerSummary:
    """One row of a network's summary; `output_shape` is for one image."""

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
