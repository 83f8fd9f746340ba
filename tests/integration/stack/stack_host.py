"""A process that runs a stack of stand-ins as `convnest up --json` does: host.py DATA_DIR."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from convnest.cli.up import run_until_signalled
from convnest.cli.up_report import JsonReport
from convnest.stack import Programs, StackOptions


def main() -> None:
    data_dir, *worker_arguments = sys.argv[1:]
    here = Path(__file__).parent
    options = StackOptions(data_dir=Path(data_dir), port=0, state_url=None, queue_url=None)
    server: Sequence[str] = (sys.executable, str(here / "stand_in_server.py"))
    if "--no-server" in worker_arguments:
        server = (sys.executable, "-c", "import time; time.sleep(60)")
    programs = Programs(
        server=server,
        worker=(sys.executable, str(here / "stand_in_worker.py"), *worker_arguments),
    )
    run_until_signalled(options, JsonReport(data_dir=options.data_dir), programs)


if __name__ == "__main__":
    main()
