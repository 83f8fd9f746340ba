from __future__ import annotations

from pathlib import Path

import pytest
from convnest.cli.up import stack_options
from convnest.stack import StackError, StackOptions, default_data_dir


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in StackOptions.model_fields:
        monkeypatch.delenv(f"CONVNEST_{name.upper()}", raising=False)


def test_an_option_comes_before_the_environment_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stack_options({"port": None}).port == 50051
    monkeypatch.setenv("CONVNEST_PORT", "50052")
    assert stack_options({"port": None}).port == 50052
    assert stack_options({"port": 50053}).port == 50053


def test_the_data_directory_follows_xdg_only_where_it_is_absolute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/convnest")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_data_dir() == Path("/home/ada/.local/share/convnest")


def test_paths_are_absolute_for_children_that_stand_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stack_options({"data_dir": Path("here")}).data_dir == tmp_path / "here"


def test_a_value_out_of_range_is_one_line_that_names_it() -> None:
    with pytest.raises(StackError, match=r"^port: .*65535, got 70000$"):
        stack_options({"port": 70000})
