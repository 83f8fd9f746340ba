"""The blob store's contract, on a local directory and on an object store."""

import errno
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import fsspec
import pytest
from convnest_store.blobs import Blob, BlobStore, blob_store
from convnest_store.errors import (
    BlobCorrupt,
    BlobMissing,
    InvalidInput,
    QuotaExceeded,
    Unavailable,
)


@pytest.fixture(params=["local", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    root = tmp_path / "blobs"
    urls = {"local": str(root), "file": f"file://{root}", "memory": f"memory://{tmp_path.name}"}
    yield blob_store(urls[request.param], cache_dir=tmp_path / "cache")
    fsspec.filesystem("memory").store.clear()


def test_bytes_come_back_whole_and_verified(store: BlobStore) -> None:
    blob = store.put_bytes("models/a/weights.bin", b"weights")
    assert blob == Blob("models/a/weights.bin", f"sha256:{sha256(b'weights').hexdigest()}", 7)
    assert store.exists(blob.key)
    assert store.read_bytes(blob.key) == b"weights"
    with store.open(blob) as path:
        assert path.read_bytes() == b"weights"


def test_a_file_is_copied_in_chunks(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    data = os.urandom(2**20 + 17)
    source.write_bytes(data)
    blob = store.put_file("datasets/big", source)
    source.write_bytes(b"changed later")
    assert (blob.size_bytes, blob.digest) == (len(data), f"sha256:{sha256(data).hexdigest()}")
    with store.open(blob) as path:
        assert path.read_bytes() == data


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    blob = store.put_bytes("empty", b"")
    with store.open(blob) as path:
        assert path.read_bytes() == b""


def test_putting_again_replaces(store: BlobStore) -> None:
    first = store.put_bytes("k", b"first")
    with store.open(first):
        pass
    second = store.put_bytes("k", b"other")
    with store.open(second) as path:
        assert path.read_bytes() == b"other"


def test_a_missing_blob_is_told(store: BlobStore) -> None:
    missing = Blob("datasets/none", "sha256:" + "0" * 64, 1)
    with pytest.raises(BlobMissing, match="datasets/none"), store.open(missing):
        pass
    with pytest.raises(BlobMissing, match="datasets/none"):
        store.read_bytes(missing.key)
    assert not store.exists(missing.key)
    store.put_bytes("datasets/other", b"")
    assert not store.exists("datasets")  # a directory is no blob
    with pytest.raises(BlobMissing):
        store.read_bytes("datasets")


def test_bytes_that_are_not_the_digests_are_never_handed_out(
    store: BlobStore, tmp_path: Path
) -> None:
    store.put_bytes("k", b"tampered")
    claimed = Blob("k", f"sha256:{sha256(b'original').hexdigest()}", 8)
    for _ in range(2):
        with pytest.raises(BlobCorrupt, match="k holds sha256:"), store.open(claimed):
            pass
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".aside")]


def test_delete_removes_and_may_be_repeated(store: BlobStore) -> None:
    store.put_bytes("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert list(store.list()) == []


def test_list_gives_keys_by_prefix_in_order(store: BlobStore) -> None:
    before = time.time() - 5
    for key in ("models/b", "models/a/2", "models/a/1", "datasets/x", "modelsx"):
        store.put_bytes(key, key.encode())
    assert [info.key for info in store.list("models/")] == ["models/a/1", "models/a/2", "models/b"]
    assert [info.key for info in store.list("models")][-1] == "modelsx"
    assert [info.key for info in store.list("models/a")] == ["models/a/1", "models/a/2"]
    assert list(store.list("nothing/here/")) == []
    everything = list(store.list())
    assert len(everything) == 5
    assert all(info.size_bytes == len(info.key) for info in everything)
    assert all(before < info.modified_s < time.time() + 5 for info in everything)


@pytest.mark.parametrize(
    "key",
    ["", "/abs", "a//b", "a/../b", "..", "./a", ".aside-1", "a/.x", "a/", "A", "a b", "é", "a\n"],
)
def test_a_key_that_leads_astray_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(InvalidInput, match="blob key") as caught:
        store.put_bytes(key, b"")
    assert caught.value.field == "key"
    for method in (store.read_bytes, store.exists, store.delete):
        with pytest.raises(InvalidInput):
            method(key)
    with pytest.raises(InvalidInput), store.open(Blob(key, "sha256:", 0)):
        pass


@pytest.mark.parametrize("key", ["x" * 201, "/".join(["x"] * 300)])
def test_a_key_that_is_too_long_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(InvalidInput, match="512 characters"):
        store.put_bytes(key, b"")


def test_what_a_killed_writer_left_is_invisible_and_swept(tmp_path: Path) -> None:
    store = blob_store(str(tmp_path), cache_dir=tmp_path)
    store.put_bytes("a/kept", b"1")
    left = tmp_path / "a" / ".aside-0123456789abcdef"
    left.write_bytes(b"half")
    assert [info.key for info in store.list()] == ["a/kept"]
    assert store.sweep_aside(older_than_s=60) == 0
    os.utime(left, (time.time() - 120, time.time() - 120))
    assert store.sweep_aside(older_than_s=60) == 1
    assert not left.exists()
    assert store.exists("a/kept")


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = blob_store(str(tmp_path), cache_dir=tmp_path)
    store.put_bytes("a/k", b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(QuotaExceeded, match="No space left"):
        store.put_bytes("a/k", b"after")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["k"]
    assert store.read_bytes("a/k") == b"before"


def test_a_failing_write_leaves_what_was_there(tmp_path: Path) -> None:
    store = blob_store(str(tmp_path / "blobs"), cache_dir=tmp_path)
    store.put_bytes("k", b"before")
    with pytest.raises(FileNotFoundError):
        store.put_file("k", tmp_path / "no such file")
    assert store.read_bytes("k") == b"before"
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == ["k"]


def test_a_local_blob_is_hashed_again_only_when_its_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = blob_store(str(tmp_path), cache_dir=tmp_path)
    blob = store.put_bytes("k", b"original")
    hashed = _counted_hashing(monkeypatch)
    for _ in range(3):
        with store.open(blob) as path:
            pass
    assert len(hashed) == 1
    path.write_bytes(b"tampered")
    os.utime(path, ns=(1, 1))
    with pytest.raises(BlobCorrupt), store.open(blob):
        pass


def test_a_remote_blob_is_fetched_once_and_fetched_again_when_its_copy_rots(
    memory_store: BlobStore, tmp_path: Path
) -> None:
    blob = memory_store.put_bytes("k", b"original")
    with memory_store.open(blob) as first:
        pass
    memory_store.delete("k")
    with memory_store.open(blob) as path:  # from the cache
        assert path == first
    memory_store.put_bytes("k", b"original")
    first.write_bytes(b"rotten!!")
    os.utime(first, ns=(1, 1))
    with memory_store.open(blob) as path:
        assert path.read_bytes() == b"original"


def test_a_copy_that_rots_each_time_is_corrupt(
    memory_store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = memory_store.put_bytes("k", b"original")
    monkeypatch.setattr(Path, "replace", lambda self, target: target.write_bytes(b"rotten!!"))
    with pytest.raises(BlobCorrupt, match="cache"), memory_store.open(blob):
        pass


def test_the_cache_drops_the_longest_unused_but_nothing_in_use(
    memory_store: BlobStore, tmp_path: Path
) -> None:
    blobs = [memory_store.put_bytes(f"k{number}", bytes([number]) * 40) for number in range(4)]

    def cached() -> set[int]:
        files = (path.read_bytes() for path in (tmp_path / "cache").iterdir())
        return {data[0] for data in files}

    with memory_store.open(blobs[0]) as held:
        for blob in blobs[1:]:
            with memory_store.open(blob):
                pass
        assert held.read_bytes() == bytes(40)
        assert cached() == {0, 3}
    with memory_store.open(blobs[1]):
        pass
    assert cached() == {1, 3}


def test_a_blob_larger_than_the_cache_is_readable_and_not_kept(
    memory_store: BlobStore, tmp_path: Path
) -> None:
    blob = memory_store.put_bytes("big", bytes(1000))
    with memory_store.open(blob) as path:
        assert path.stat().st_size == 1000
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_remote_store_that_fails_is_unavailable(
    memory_store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ConnectionRefusedError("no route")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(Unavailable, match="no route"):
        memory_store.put_bytes("k", b"")


def test_a_url_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nosuch"):
        blob_store("nosuch://bucket", cache_dir=tmp_path)


@pytest.fixture
def memory_store(tmp_path: Path) -> Iterator[BlobStore]:
    """Remote, with a cache of 100 bytes."""
    yield blob_store(f"memory://{tmp_path.name}", cache_dir=tmp_path / "cache", cache_bytes=100)
    fsspec.filesystem("memory").store.clear()


def _counted_hashing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    import hashlib

    calls: list[str] = []
    original = hashlib.file_digest

    def counted(file: object, name: str) -> object:
        calls.append(name)
        return original(file, name)  # type: ignore[arg-type]  # the original's own check

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return calls
