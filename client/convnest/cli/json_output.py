"""Results as JSON, for machines."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime

from convnest import JobEvent


def to_plain(value: object) -> object:
    """`value` as what JSON can say: dataclasses become objects, times ISO 8601, bytes vanish."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {
            field.name: to_plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.name.startswith("_") and not isinstance(getattr(value, field.name), bytes)
        }
        return {"event": _event_name(value), **plain} if isinstance(value, JobEvent) else plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [to_plain(item) for item in value]
    return value


def print_json(value: object) -> None:
    """Prints one JSON document."""
    print(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def print_json_line(value: object) -> None:
    """Prints one JSON document on one line, at once."""
    print(json.dumps(to_plain(value), ensure_ascii=False))
    sys.stdout.flush()


def _event_name(event: JobEvent) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
