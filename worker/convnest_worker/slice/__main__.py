"""`python -m convnest_worker.slice`: does one slice of one job, told and telling over its pipes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from convnest_core import CoreError, keep_freed_memory, single_blas_thread
from convnest_store.blobs import blob_store
from convnest_store.errors import (
    AlreadyExists,
    BlobCorrupt,
    BlobMissing,
    FailedPrecondition,
    InvalidInput,
    QuotaExceeded,
)
from convnest_store.states import JobKind

from convnest_worker.channel import Channel, Message, Stopped
from convnest_worker.slice.context import Context
from convnest_worker.slice.garbage import run_collect_garbage
from convnest_worker.slice.ingest import run_ingest
from convnest_worker.slice.rebuild import run_rebuild
from convnest_worker.slice.train import run_train
from convnest_worker.training import Diverged

KINDS: dict[JobKind, Callable[[Context], Message]] = {
    JobKind.TRAIN: run_train,
    JobKind.INGEST: run_ingest,
    JobKind.COLLECT_GARBAGE: run_collect_garbage,
    JobKind.REBUILD: run_rebuild,
}


def main() -> None:
    """Runs until done, stopped or failed; anything unforeseen ends in a traceback on stderr."""
    channel = Channel.adopt()
    begin = channel.receive_first()
    os.nice(begin["niceness"])
    single_blas_thread()
    keep_freed_memory()
    scratch = Path(begin["scratch"])
    context = Context(
        channel=channel,
        blobs=blob_store(begin["blob_url"], cache_dir=scratch / "blobs"),
        scratch_root=scratch,
        state_url=begin["state_url"],
        job_id=begin["job_id"],
        attempt=begin["attempt"],
        spec=begin["spec"],
        inputs=begin["inputs"],
    )
    try:
        channel.send({"done": KINDS[JobKind(begin["kind"])](context)})
    except Stopped:
        channel.send({"stopped": True})
    except InvalidInput as error:
        channel.send(_failed(error.reason, str(error), error.field))
    except (AlreadyExists, FailedPrecondition, QuotaExceeded, BlobMissing, BlobCorrupt) as error:
        channel.send(_failed(error.reason, str(error)))
    except Diverged as error:
        channel.send(_failed("TRAINING_DIVERGED", str(error), "optimizer.learning_rate"))
    except CoreError as error:
        # The data, the spec or the state does not fit: another attempt would end the same.
        channel.send(_failed("TRAINING_FAILED", str(error)))
    sys.stderr.flush()
    # Threads that wait on pipes must not hold the process.
    os._exit(0)


def _failed(reason: str, message: str, field: str = "") -> Message:
    return {"failed": {"reason": reason, "message": message, "field": field}}


if __name__ == "__main__":
    main()
