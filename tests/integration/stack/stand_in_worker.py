"""A worker of its own process: it waits, and drains when it is told or its parent has gone."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path


def main() -> None:
    told_fd, tell_fd = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(tell_fd, b"!"))
    print("working", {name: os.environ[name] for name in os.environ if "CONVNEST" in name})
    if "--fail" in sys.argv:
        sys.exit("RuntimeError: this worker never starts")
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf")
    select.select([int(os.environ["CONVNEST_PARENT_FD"]), told_fd], [], [])
    print("drained")
    (Path(os.environ["CONVNEST_BLOB_URL"]) / "drained").touch()


if __name__ == "__main__":
    main()
