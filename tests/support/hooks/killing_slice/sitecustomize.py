"""On PYTHONPATH of a worker: every slice kills itself once it is to train."""

import os
import signal
import sys

if "convnest_worker.slice" in sys.orig_argv:
    from convnest_worker import training

    def _kill(*_arguments: object, **_options: object) -> None:
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    training.train = _kill  # type: ignore[assignment]  # it returns nothing, for it never returns
