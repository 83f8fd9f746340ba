"""Whether a stack runs already."""

from __future__ import annotations

from convnest.stack.address import reachable
from convnest.stack.data_lock import read_owner
from convnest.stack.errors import StackError
from convnest.stack.health import SERVER, WORKER, accepts_connections, is_serving
from convnest.stack.options import StackOptions

from .check import Check, ok, problem, warning

_NAME = "running stack"


def check_service(options: StackOptions, server: str | None) -> Check:
    """Ask the server named, else the one on the data directory, else the one on the port."""
    owner = read_owner(options.data_dir)
    on_data = owner.address if owner is not None else ""
    address = server or on_data or reachable(options.host, options.port)
    if not accepts_connections(address):
        return ok(_NAME, f"none at {address}")
    try:
        if not is_serving(address, SERVER):
            return warning(
                _NAME,
                f"something listens on {address}, but it is no ConvNest server that is ready",
                "look again in a moment, or choose another --port",
            )
        if not is_serving(address, WORKER):
            return warning(_NAME, f"{address} serves, without a worker", "start a worker")
    except StackError as error:
        return problem(_NAME, str(error))
    return ok(_NAME, f"{address} serves, with a worker")
