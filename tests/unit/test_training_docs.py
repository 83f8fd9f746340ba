"""docs/training.md names every setting of a recipe, with its default, range and meaning."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from convnest_core.augmentation import AUGMENTATIONS
from convnest_core.recipe import OPTIMIZERS, SCHEDULES, Kind, Setting, Switch

DOCS = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def rows(kinds: Mapping[str, Kind]) -> Iterator[str]:
    yield "| name | setting | default | range | meaning |"
    yield "|---|---|---|---|---|"
    for name, kind in kinds.items():
        yield f"| **{name}** | | | | {kind.doc} |"
        for field, setting in kind.settings.items():
            yield f"| | `{field}` | {_default(setting)} | {_range(setting)} | {setting.doc} |"


def _default(setting: Setting | Switch) -> str:
    if isinstance(setting, Switch):
        return str(setting.default).lower()
    return f"{setting.default:.4g}"


def _range(setting: Setting | Switch) -> str:
    if isinstance(setting, Switch):
        return "true, false"
    first, last = "(" if setting.above else "[", ")" if setting.below else "]"
    return f"{first}{setting.least:g}, {setting.most:g}{last}"


@pytest.mark.parametrize(
    ("title", "kinds"),
    [("Optimizers", OPTIMIZERS), ("Schedules", SCHEDULES), ("Augmentation", AUGMENTATIONS)],
)
def test_a_table_is_what_the_code_says(title: str, kinds: Mapping[str, Kind]) -> None:
    section = DOCS.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    written = [line for line in section.splitlines() if line.startswith("|")]
    assert written == list(rows(kinds))
