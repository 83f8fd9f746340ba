"""Running all of ConvNest on one machine: Redis, server and workers, supervised.

with Stack(StackOptions(data_dir=Path("data"), port=0)) as stack:
    client = convnest.connect(stack.address)
"""

from __future__ import annotations

from .errors import StackError
from .events import Event, OnEvent
from .options import StackOptions, default_data_dir
from .parts import Programs
from .stack import Stack

__all__ = [
    "Event",
    "OnEvent",
    "Programs",
    "Stack",
    "StackError",
    "StackOptions",
    "default_data_dir",
]
