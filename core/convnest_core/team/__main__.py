"""A spawned member: `python -m convnest_core.team RANK LINE TETHER BLOCK...`, all descriptors."""

import os
import socket
import sys

from .memory import inherited
from .work import enlist


def main() -> None:
    rank, line, tether, *blocks = (int(word) for word in sys.argv[1:])
    for descriptor in (line, tether):
        os.set_inheritable(descriptor, False)
    enlist(rank, socket.socket(fileno=line), tether=tether, take=inherited(blocks))


if __name__ == "__main__":
    main()
