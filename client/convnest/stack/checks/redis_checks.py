"""The Redis that a stack would use: given or found, and whether it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from convnest.stack.backoff import Backoff
from convnest.stack.errors import StackError
from convnest.stack.events import ignore_event
from convnest.stack.given_redis import check_given_redis
from convnest.stack.keeper import Keeper
from convnest.stack.options import StackOptions
from convnest.stack.part import Part
from convnest.stack.part_log import PartLog
from convnest.stack.redis_link import answers, without_password
from convnest.stack.redis_server import (
    RedisProgram,
    find_redis,
    queue_command,
    socket_url,
    state_command,
)
from convnest.stack.runtime_dir import make_runtime_dir, remove_runtime_dir
from convnest.stack.tether import tethered

from .check import Check, ok, problem, warning

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 3.0


def redis_checks(options: StackOptions) -> Iterator[Check]:
    """The servers whose URLs are set, and the program that would be started for the others."""
    for url, role in ((options.state_url, "state"), (options.queue_url, "queue")):
        if url:
            yield _check_given(url, role)
    if options.state_url and options.queue_url:
        return
    try:
        program = find_redis()
    except StackError as error:
        yield problem("redis", str(error))
        return
    yield ok("redis", f"{program.version_text}, {program.path}")
    yield _check_starts(program, options)


def _check_given(url: str, role: str) -> Check:
    name = f"redis ({role})"
    try:
        warnings = check_given_redis(url, role=role)
    except StackError as error:
        return problem(name, str(error), f"start it, or unset CONVNEST_{role.upper()}_URL")
    if warnings:
        return warning(name, without_password(url), "; ".join(warnings))
    return ok(name, without_password(url))


def _check_starts(program: RedisProgram, options: StackOptions) -> Check:
    name = "redis starts"
    try:
        state_command(program, folder=options.data_dir / "redis-state", socket=Path())
        runtime_dir = make_runtime_dir(options.runtime_dir)
    except StackError as error:
        return problem(name, str(error))
    socket = runtime_dir / "doctor.sock"
    command = queue_command(program, folder=runtime_dir, socket=socket)
    part = Part("redis", tethered(command), ready=lambda: answers(socket_url(socket)))
    keeper = Keeper(
        part, log=PartLog(runtime_dir / "redis.log"), on_event=ignore_event, backoff=Backoff()
    )
    keeper.start()
    try:
        keeper.wait_ready(_START_TIMEOUT_S, cancelled=threading.Event())
    except StackError as error:
        return problem(name, str(error))
    finally:
        keeper.terminate()
        if not keeper.ended_within(_STOP_TIMEOUT_S):
            keeper.kill()
            keeper.ended_within(_STOP_TIMEOUT_S)
        remove_runtime_dir(runtime_dir)
    return ok(name, f"answers on a unix socket in {runtime_dir.parent}")
