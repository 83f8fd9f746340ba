from __future__ import annotations

from pathlib import Path

import pytest
from convnest.cli.context import CommandFailed
from convnest.cli.job_file import FIELDS, load_job_file, parse_option

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "job.yaml"


def load(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return load_job_file(path)


def failure(tmp_path: Path, text: str) -> str:
    with pytest.raises(CommandFailed) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path}/")


def test_the_example_names_every_field() -> None:
    assert set(load_job_file(EXAMPLE)) == set(FIELDS)


def test_numbers_in_scientific_notation_are_numbers(tmp_path: Path) -> None:
    fields = load(tmp_path, "weight_decay: 1e-4\nlearning_rate: 5E-2\nmodel: v1e4\n")
    assert fields == {"weight_decay": 1e-4, "learning_rate": 0.05, "model": "v1e4"}


def test_an_unknown_field_is_named_with_its_line_and_the_nearest_known(tmp_path: Path) -> None:
    assert failure(tmp_path, "dataset: digits\nepoch: 3\n") == (
        "job.yaml:2: unknown field 'epoch'; did you mean 'epochs'?"
    )


def test_an_unknown_field_like_none_lists_the_known(tmp_path: Path) -> None:
    assert "known fields: dataset, network" in failure(tmp_path, "xyzzy: 3\n")


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    assert (
        failure(tmp_path, "epochs: 3\nepochs: 4\n") == "job.yaml:2: field 'epochs' is given twice"
    )


@pytest.mark.parametrize("text", ["", "- a\n", "digits"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "must be a mapping of fields" in failure(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: 1", "a: !!python/object:os.system {}"])
def test_broken_yaml_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    assert failure(tmp_path, text).startswith("job.yaml:1: not valid YAML: ")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(CommandFailed, match="not valid YAML"):
        load_job_file(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hidden=128", ("hidden", 128)),
        ("rate=1e-3", ("rate", 0.001)),
        ("channels=[6, 16]", ("channels", [6, 16])),
        ("activation=tanh", ("activation", "tanh")),
        ("bias=false", ("bias", False)),
        ("odd=[1", ("odd", "[1")),
    ],
)
def test_options_are_read_as_yaml(text: str, expected: tuple[str, object]) -> None:
    assert parse_option(text) == expected


@pytest.mark.parametrize("text", ["hidden", "=3", ""])
def test_an_option_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed, match="NAME=VALUE"):
        parse_option(text)
