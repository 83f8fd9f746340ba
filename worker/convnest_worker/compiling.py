"""`python -m convnest_worker.compiling`: compiles missing kernels, then gives its memory back."""

import sys
from dataclasses import asdict

from convnest_core import CoreError
from convnest_core.kernels.simd.inventory import Progress, compile_missing

from convnest_worker.channel import Channel


def main() -> int:
    """Tells of each kernel, then that all are ready, or why not; the exit code."""
    channel = Channel.adopt()
    channel.receive_first()

    def told(progress: Progress) -> None:
        channel.send(asdict(progress))

    try:
        compile_missing(told)
    except CoreError as error:
        channel.send({"failed": str(error)})
        return 1
    channel.send({"ready": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
