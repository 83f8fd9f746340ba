"""docs/deployment.md names every setting, and no other; the locks of the image fit the first."""

import re
from pathlib import Path

import pytest
from convnest.stack.options import StackOptions
from convnest_process.settings import ProcessSettings
from convnest_server.settings import ServerSettings
from convnest_worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "deployment.md").read_text("utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")

CLIENT = {"CONVNEST_ADDRESS"}


def names(*settings: type[ProcessSettings] | type[StackOptions]) -> set[str]:
    return {f"CONVNEST_{field.upper()}" for each in settings for field in each.model_fields}


def section(title: str) -> set[str]:
    """Variables in the table under a heading."""
    text = DOCS.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]
    return set(re.findall(r"^\| `(CONVNEST_\w+)`", text, re.MULTILINE))


def test_each_table_holds_the_settings_of_its_process() -> None:
    shared = names(ProcessSettings)
    assert section("Of server and worker") == shared
    assert section("Of the server") == names(ServerSettings) - shared
    assert section("Of the worker") == names(WorkerSettings) - shared


def test_the_compose_files_variables_are_documented_and_none_else() -> None:
    assert section("Of the compose file") == set(re.findall(r"\$\{(CONVNEST_\w+)", COMPOSE))


def test_every_name_in_the_text_exists() -> None:
    known = names(ServerSettings, WorkerSettings, StackOptions) | CLIENT
    known |= section("Of the compose file")
    assert set(re.findall(r"CONVNEST_[A-Z_]+", DOCS)) <= known
    assert names(StackOptions) <= set(re.findall(r"CONVNEST_[A-Z_]+", DOCS))


def test_the_compose_file_sets_only_settings_that_exist() -> None:
    known = names(ServerSettings, WorkerSettings)
    assert set(re.findall(r"^ +(CONVNEST_\w+): ", COMPOSE, re.MULTILINE)) <= known


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_the_image_has_the_versions_that_the_tests_ran_with(lock: str) -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[^#\s]\S*==[^\\\n]+", path.read_text("utf-8"), re.MULTILINE))

    image = pins(ROOT / "docker" / lock)
    assert image
    assert image <= pins(ROOT / "requirements.lock")
