"""`python -m convnest_server`: serves the API until SIGTERM or the parent's end."""

import asyncio
import os
import signal
import sys

import structlog
from convnest_process.logs import configure_logs
from convnest_process.tether import when_parent_ends

from convnest_server.app import serve
from convnest_server.settings import ServerSettings


async def run(settings: ServerSettings) -> None:
    """Serves until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.parent_fd is not None:
        when_parent_ends(settings.parent_fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    await serve(settings, stop)


def main() -> int:
    """Returns the exit code."""
    settings = ServerSettings()
    configure_logs(settings.log_level, settings.log_format)
    settings.runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        asyncio.run(run(settings))
    except OSError as error:
        structlog.get_logger(__name__).error("cannot serve", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
