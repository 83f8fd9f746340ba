from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from convnest import InvalidArgument
from convnest.uploads import CHUNK_BYTES, open_upload, zip_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flowers"
    for name in ("tulip/2.png", "tulip/1.png", "rose/1.png", "tulip/.hidden", ".git/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    zip_folder(folder, buffer)
    return buffer.getvalue()


def test_a_folder_is_zipped_in_order_of_names(folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(zipped(folder))) as archive:
        assert archive.namelist() == ["rose/1.png", "tulip/1.png", "tulip/2.png"]
        assert archive.read("tulip/2.png") == b"tulip/2.png"


def test_the_same_folder_gives_the_same_bytes(folder: Path) -> None:
    before = zipped(folder)
    os.utime(folder / "rose" / "1.png", (1, 1))
    assert zipped(folder) == before


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.png").write_bytes(b"secret")
    (folder / "rose" / "link.png").symlink_to(secret / "key.png")
    (folder / "linked").symlink_to(secret)
    os.mkfifo(folder / "rose" / "pipe")
    with zipfile.ZipFile(io.BytesIO(zipped(folder))) as archive:
        assert archive.namelist() == ["rose/1.png", "tulip/1.png", "tulip/2.png"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no files in folder"):
        zipped(tmp_path)


def test_a_file_is_read_in_chunks_and_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(bytes(CHUNK_BYTES + 10))
    seen: list[tuple[int, int]] = []
    with open_upload(path) as upload:
        chunks = list(upload.chunks(lambda done, total: seen.append((done, total))))
    assert upload.format == "npz"
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES, 10]
    assert seen == [(CHUNK_BYTES, CHUNK_BYTES + 10), (CHUNK_BYTES + 10, CHUNK_BYTES + 10)]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.tar"
    path.touch()
    with (
        pytest.raises(InvalidArgument, match=r"folder, a \.zip or an \.npz file, got .*data\.tar"),
        open_upload(path),
    ):
        pass


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_upload(tmp_path / "none.zip"):
        pass
