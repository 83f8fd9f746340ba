"""A training job as a YAML file: the fields of `TrainSpec`, and `priority`."""

from __future__ import annotations

import dataclasses
import difflib
import re
from pathlib import Path
from typing import Final

import yaml
from convnest import TrainSpec
from convnest.cli.context import CommandFailed

FIELDS: Final = (*(field.name for field in dataclasses.fields(TrainSpec)), "priority")


class _Loader(yaml.SafeLoader):
    """YAML without objects, in which 1e-4 is a number (YAML 1.1 wants it as 1.0e-4)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_job_file(path: Path) -> dict[str, object]:
    """The file's fields. CommandFailed names the file, the line and the field at fault."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, _Loader)
        fields = yaml.load(text, _Loader)  # noqa: S506 (a subclass of SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise CommandFailed(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path}: not valid YAML: it holds bytes that are no text") from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(fields, dict):
        raise CommandFailed(f"{path}: must be a mapping of fields, such as 'dataset: digits'")
    seen: set[str] = set()
    for key, _ in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if key.value not in FIELDS:
            raise CommandFailed(f"{where}: unknown field {key.value!r}; {_hint(key.value)}")
        if key.value in seen:
            raise CommandFailed(f"{where}: field {key.value!r} is given twice")
        seen.add(key.value)
    return {name: value for name, value in fields.items() if value is not None}


def parse_option(text: str, *, option: str = "--option") -> tuple[str, object]:
    """One setting given to `option`, as in `hidden=128` or `channels=[6, 16]`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandFailed(f"{option} must be NAME=VALUE, got {text!r}")
    try:
        return name, yaml.load(value, _Loader)  # noqa: S506 (a subclass of SafeLoader)
    except yaml.YAMLError:
        return name, value


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, FIELDS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known fields: {', '.join(FIELDS)}"
