"""Judging a Redis server that the user gave us instead of letting us start one."""

from __future__ import annotations

from . import redis_link
from .errors import StackError
from .redis_server import OLDEST_VERSION, parse_version


def check_given_redis(url: str, *, role: str) -> list[str]:
    """What is unwise about the server for `role`; StackError when it cannot be used at all."""
    facts = redis_link.ask(url)
    name = f"the {role} Redis at {redis_link.without_password(url)}"
    if parse_version(facts.version) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise StackError(f"{name} is {facts.version}; ConvNest needs {oldest} or later")
    warnings = []
    if role == "state" and not facts.append_only:
        warnings.append(f"{name} keeps no append-only file: what it holds is lost when it ends")
    if facts.max_memory_policy not in ("noeviction", ""):
        warnings.append(
            f"{name} has maxmemory-policy {facts.max_memory_policy} and may drop what it was "
            "given to keep; set noeviction"
        )
    return warnings
