"""The states of a job and the one table of legal transitions."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether nothing leads on from here."""
        return not TRANSITIONS[self]


#: From each state, the states it may change to. The Lua scripts get this very table.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(JobState) - {JobState.RUNNING},
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class JobKind(StrEnum):
    """What a job does."""

    TRAIN = "train"
    INGEST = "ingest"
    COLLECT_GARBAGE = "collect_garbage"
    REBUILD = "rebuild"


class Wish(StrEnum):
    """What somebody asked of a running job; seen with its heartbeat."""

    NONE = ""
    CANCEL = "cancel"
    PAUSE = "pause"
    CHECKPOINT = "checkpoint"
