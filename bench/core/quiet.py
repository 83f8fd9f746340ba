"""What else the machine is doing; measured while all sides are stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path

_SAMPLE_S = 0.2
_QUIET = 0.1
_PATIENCE_S = 5.0


def wait_for_quiet() -> float:
    """Wait a while for other processes to leave the cores alone; returns the share they take."""
    end = time.monotonic() + _PATIENCE_S
    while (share := _share()) > _QUIET and time.monotonic() < end:
        pass
    return share


def _share() -> float:
    before = _busy_s()
    time.sleep(_SAMPLE_S)
    return (_busy_s() - before) / (_SAMPLE_S * (os.cpu_count() or 1))


def _busy_s() -> float:
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
