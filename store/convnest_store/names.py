"""Names that people choose, and ids that we give."""

import re
import secrets
import time
from collections.abc import Iterable

from convnest_store.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_JOB_ID = re.compile(f"[{_BASE32}]{{15}}")


def check_name(name: str, *, field: str) -> str:
    """`name` itself; raises InvalidInput unless it may name a dataset, a model or an alias."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(
            field,
            f"a name is 1 to 64 of a-z, 0-9, '-', '_' and '.', "
            f"and starts with a letter or digit, got {name[:80]!r}",
        )
    return name


def check_alias(alias: str, *, field: str) -> str:
    """`alias` itself; raises InvalidInput where it is no name or could be taken for a version."""
    if alias.isdecimal():
        raise InvalidInput(field, f"an alias must not be a number, got {alias[:80]!r}")
    if alias == "latest":
        raise InvalidInput(
            field, "the latest version is what the bare name stands for; 'latest' is no alias"
        )
    return check_name(alias, field=field)


def new_job_id() -> str:
    """An id that sorts by creation time: ten characters of milliseconds, five of chance."""
    milliseconds = time.time_ns() // 1_000_000
    digits = "".join(_BASE32[milliseconds >> shift & 31] for shift in range(45, -1, -5))
    return digits + "".join(secrets.choice(_BASE32) for _ in range(5))


def is_job_id(text: str) -> bool:
    """Whether it could be an id of ours: anything else must not reach a key."""
    return _JOB_ID.fullmatch(text) is not None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean digits?`, or nothing where no known name is near."""
    import difflib  # rarely needed, and slow to import

    near = difflib.get_close_matches(name[:80], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
