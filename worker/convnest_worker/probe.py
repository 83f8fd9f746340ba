"""`python -m convnest_worker.probe`: whether this machine's worker gave a sign of life lately.

The exit code tells: 0 for yes. For health checks of containers and the like. The worker that is
looked for has the name that CONVNEST_WORKER_NAME gives, or else this host's name in its own.
"""

import re
import socket
import sys
from collections.abc import Sequence

from convnest_store.connection import connect
from convnest_store.errors import Unavailable
from convnest_store.workers import WorkerRoll

from convnest_worker.settings import WorkerSettings


def is_ours(name: str, *, given: str | None, host: str) -> bool:
    """Whether a worker of this name has the given one or, where none is given, is of this host."""
    if given is not None:
        return name == given
    return re.fullmatch(rf"{re.escape(host)}-\d+", name) is not None


def present(settings: WorkerSettings) -> Sequence[str]:
    """Names of this machine's workers that gave a sign of life lately. Raises Unavailable."""
    given = settings.worker_name if "worker_name" in settings.model_fields_set else None
    with connect(settings.queue_url, decode=False) as client:
        names = [worker.name for worker in WorkerRoll(client).present()]
    return [name for name in names if is_ours(name, given=given, host=socket.gethostname())]


def main() -> int:
    """Says who is there; returns the exit code."""
    try:
        names = present(WorkerSettings())
    except Unavailable as error:
        print(error)
        return 1
    print(", ".join(names) or f"no sign of life of a worker of {socket.gethostname()}")
    return 0 if names else 1


if __name__ == "__main__":
    sys.exit(main())
