"""Where the server listens, and where it is reached."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from pathlib import Path

from .errors import StackError


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str, port: int) -> str:
    """The address to connect to from here when the server listens on `host`."""
    return join({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_port(address_file: Path) -> int | None:
    """The port of the address that a server wrote down, once it has."""
    try:
        return int(address_file.read_text().strip().rpartition(":")[2])
    except (OSError, ValueError):
        return None


def check_free(host: str, port: int) -> None:
    """StackError when the server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise StackError(f"cannot listen on {host!r}: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"port {port} on {host} is in use, maybe by another stack; "
                "stop it, or choose another --port"
            ) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StackError(f"cannot listen on {join(host, port)}: {reason}") from error
