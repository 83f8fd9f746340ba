"""Runs the Lua scripts in `lua/`: each is one atomic change, by Redis' own clock."""

from importlib import resources
from typing import cast

import redis
from redis.commands.core import Script

from convnest_store.connection import unavailable_as_ours
from convnest_store.errors import (
    AlreadyExists,
    FailedPrecondition,
    LeaseLost,
    NotFound,
    QuotaExceeded,
    StoreError,
)
from convnest_store.states import TRANSITIONS

PREFIX = "{convnest}:"
#: A training of 10,000 epochs, with states, fits.
KEPT_EVENTS = 20_000
TRIMMED_EVENTS = 500
#: Of one model; they travel with it in every answer.
MAX_ALIASES = 100

_REFUSALS: dict[str, type[StoreError]] = {
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": FailedPrecondition,
    "LEASE_LOST": LeaseLost,
    "QUOTA_EXCEEDED": QuotaExceeded,
}


def key(*parts: str) -> str:
    """The Redis key of a record, as the scripts spell it."""
    return PREFIX + ":".join(parts)


class StateScripts:
    """The scripts on the state Redis. Raises the refusal that a script answers, as our error."""

    def __init__(self, client: redis.Redis) -> None:
        self._load = ScriptLoader(client, "jobs", _constants())

    def run(self, name: str, *args: str | int | float) -> list[str]:
        """Runs `lua/jobs/<name>.lua`; returns what follows "OK".

        Raises NotFound, AlreadyExists, FailedPrecondition, LeaseLost, QuotaExceeded, Unavailable.
        """
        with unavailable_as_ours("state"):
            code, *rest = cast(list[str], self._load(name)(args=list(args)))
        if code != "OK":
            raise _REFUSALS[code](rest[0])
        return rest


class ScriptLoader:
    """The scripts of one folder under `lua/`, each behind the folder's prelude; kept once read."""

    def __init__(self, client: redis.Redis, folder: str, constants: str) -> None:
        self._client = client
        self._folder = resources.files("convnest_store") / "lua" / folder
        self._prelude = constants + "\n" + (self._folder / "prelude.lua").read_text("utf-8")
        self._scripts: dict[str, Script] = {}

    def __call__(self, name: str) -> Script:
        """The script `<name>.lua`, ready to call."""
        if name not in self._scripts:
            text = (self._folder / f"{name}.lua").read_text("utf-8")
            self._scripts[name] = self._client.register_script(f"{self._prelude}\n{text}")
        return self._scripts[name]


def _constants() -> str:
    rows = (
        f"{state} = {{{', '.join(f'{to} = true' for to in sorted(targets))}}}"
        for state, targets in TRANSITIONS.items()
    )
    return (
        f"local TRANSITIONS = {{{', '.join(rows)}}}\n"
        f"local KEPT_CAP, TRIMMED_CAP, MAX_ALIASES = {KEPT_EVENTS}, {TRIMMED_EVENTS}, {MAX_ALIASES}"
    )
