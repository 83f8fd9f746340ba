from __future__ import annotations

from pathlib import Path

import pytest
from convnest.stack.runtime_dir import make_runtime_dir, remove_runtime_dir


def test_a_session_directory_that_is_too_long_gives_way_to_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    made = make_runtime_dir(None)
    try:
        assert made.parent == Path("/tmp")
        assert made.stat().st_mode & 0o777 == 0o700
    finally:
        remove_runtime_dir(made)
    assert not made.exists()


def test_only_a_directory_of_our_own_is_ever_removed(tmp_path: Path) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    link = tmp_path / "convnest-12345678"
    link.symlink_to(foreign)
    for path in (foreign, link, tmp_path / "convnest-missing"):
        remove_runtime_dir(path)
    assert foreign.is_dir()
    assert link.is_symlink()
