"""Names that people choose, and ids that we give."""

import re
import secrets
import time

from convnest_store.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


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
        raise InvalidInput(field, f"an alias must not be a number, got {alias!r}")
    return check_name(alias, field=field)


def new_job_id() -> str:
    """An id that sorts by creation time: ten characters of milliseconds, five of chance."""
    milliseconds = time.time_ns() // 1_000_000
    digits = "".join(_BASE32[milliseconds >> shift & 31] for shift in range(45, -1, -5))
    return digits + "".join(secrets.choice(_BASE32) for _ in range(5))
