"""A zip of class folders becomes a dataset; a hostile one is refused, and cheaply."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convnest_store.datasets import Dataset
from convnest_store.errors import DatasetRejected
from convnest_store.images import ImageShape, UInt8Array, encode_png
from convnest_store.ingest import DEFAULT_LIMITS, Limits, read_dataset

Edit = Callable[[zipfile.ZipInfo], None]


def picture(value: int, *sides: int) -> bytes:
    return encode_png(np.full(sides or (4, 6), value, np.uint8))


PAIR = {"cat/1.png": picture(1), "dog/1.png": picture(2)}


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    def pack(members: Mapping[str, bytes]) -> Path:
        path = tmp_path / "upload.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)
                info.filename = name  # as given, backslashes too
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
        return path

    return pack


Packed = Callable[[Mapping[str, bytes]], Path]


def read(
    path: Path, *, shape: ImageShape | None = None, limits: Limits = DEFAULT_LIMITS
) -> Dataset:
    return read_dataset(path, format="zip", shape=shape, limits=limits)


def values(images: UInt8Array) -> list[int]:
    return [int(image.flat[0]) for image in images]


def test_one_folder_per_class(packed: Packed) -> None:
    dataset = read(packed({"dog/b.png": picture(3), "dog/a.png": picture(2), **PAIR}))
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1, 1, 1]
    assert values(dataset.images) == [1, 2, 2, 3]
    assert dataset.shape == ImageShape(4, 6, 1)
    assert len(dataset.test_images) == 0


def test_train_and_test_folders(packed: Packed) -> None:
    dataset = read(
        packed(
            {
                "train/cat/1.png": picture(1),
                "test/cat/1.png": picture(9),
                "train/dog/1.png": picture(2),
            }
        )
    )
    assert (values(dataset.images), values(dataset.test_images)) == ([1, 2], [9])
    assert dataset.test_labels.tolist() == [0]


@pytest.mark.parametrize("top", ["flowers/", "train/", "./", "flowers\\"])
def test_a_folder_around_them_all_is_seen_through(packed: Packed, top: str) -> None:
    assert read(packed({f"{top}{name}": data for name, data in PAIR.items()})).classes == (
        "cat",
        "dog",
    )


def test_a_folder_around_train_and_test_is_seen_through(packed: Packed) -> None:
    members = {
        f"x/{part}/{name}": data for part in ("train", "test") for name, data in PAIR.items()
    }
    members["x/"] = members["x/train/"] = members["x/train/cat/"] = b""
    dataset = read(packed(members))
    assert (dataset.classes, len(dataset.test_images)) == (("cat", "dog"), 2)


def test_classes_named_train_and_test_are_classes(packed: Packed) -> None:
    dataset = read(packed({"train/1.png": picture(1), "test/1.png": picture(2)}))
    assert dataset.classes == ("test", "train")


def test_numbered_classes_are_in_the_order_of_numbers(packed: Packed) -> None:
    names = ["10", "9", "0", "01", "1"]
    dataset = read(packed({f"{name}/1.png": picture(1) for name in names}))
    assert dataset.classes == ("0", "01", "1", "9", "10")


def test_the_same_pictures_give_the_same_digest_in_any_order(packed: Packed) -> None:
    first = read(packed(PAIR))
    second = read(packed({f"top/{name}": PAIR[name] for name in reversed(list(PAIR))}))
    assert first.digest == second.digest


def test_what_desktops_leave_is_ignored(packed: Packed) -> None:
    litter = ["__MACOSX/cat/._1.png", "cat/.DS_Store", "dog/Thumbs.db", ".git/x", "desktop.ini"]
    dataset = read(packed({**PAIR, **dict.fromkeys(litter, b"litter")}))
    assert len(dataset.images) == 2


def test_names_that_look_the_same_are_one_class(packed: Packed) -> None:
    members = {
        "caf\u00e9/1.png": picture(1),
        "cafe\u0301/2.png": picture(2),
        "bar/1.png": picture(3),
    }
    assert read(packed(members)).classes == ("bar", "caf\u00e9")


def test_the_common_size_rules_and_grey_needs_all_grey(packed: Packed) -> None:
    members = {f"cat/{number}.png": picture(number, 8, 5) for number in range(3)}
    members |= {f"dog/{number}.png": picture(number, 9, 9) for number in range(2)}
    assert read(packed(members)).shape == ImageShape(8, 5, 1)
    members["dog/colour.png"] = picture(0, 9, 9, 3)
    assert read(packed(members)).shape == ImageShape(9, 9, 3)


def test_a_large_size_is_capped_with_its_ratio_unless_asked_for(packed: Packed) -> None:
    path = packed({"cat/1.png": picture(1, 600, 300), "dog/1.png": picture(2, 600, 300)})
    assert read(path).shape == ImageShape(256, 128, 1)
    asked = ImageShape(300, 300, 3)
    assert read(path, shape=asked).shape == asked


def test_progress_counts_pictures(packed: Packed) -> None:
    told: list[tuple[int, int]] = []
    path = packed(PAIR)
    read_dataset(path, format="zip", on_progress=lambda done, total: told.append((done, total)))
    assert told[-2:] == [(1, 2), (2, 2)]


def test_progress_may_stop_the_work(packed: Packed) -> None:
    def stop(done: int, total: int) -> None:
        raise ValueError("cancelled")

    path = packed(PAIR)
    with pytest.raises(ValueError, match="cancelled"):
        read_dataset(path, format="zip", on_progress=stop)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../etc/cat/1.png": b""}, "leads out of the archive"),
        ({"cat/../../1.png": b""}, "leads out of the archive"),
        ({"cat\\..\\..\\1.png": b""}, "leads out of the archive"),
        ({"/cat/1.png": b""}, "leads out of the archive"),
        ({"C:\\cat\\1.png": b""}, "leads out of the archive"),
        ({"cat/notes.txt": b"hello"}, "cat/notes.txt: not an image: 5 bytes"),
        ({"cat/half.png": picture(1)[:50]}, "cat/half.png: (truncated|damaged) PNG"),
        ({"README.txt": b"hello"}, "README.txt is not in a class folder; expected <class>/"),
        ({"cat/deep/1.png": picture(1)}, "cat/deep/1.png is not in a class folder"),
        ({"bird/": b""}, "class 'bird' has no picture"),
        ({"bird\x07/1.png": picture(1)}, "class name must be printable"),
    ],
)
def test_a_member_that_is_not_allowed_is_named(
    packed: Packed, members: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DatasetRejected, match=message):
        read(packed({**PAIR, **members}), shape=ImageShape(4, 6, 1))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "no pictures in the archive"),
        ({"cat/": b"", ".DS_Store": b""}, "no pictures in the archive"),
        ({"cat/1.png": picture(1)}, r"at least 2 classes are needed, got \['cat'\]"),
        (
            {"train/cat/1.png": picture(1), "test/dog/1.png": picture(1)},
            "class 'dog' has no picture to train on",
        ),
        (
            {f"train/{name}": data for name, data in PAIR.items()}
            | {"test/x/": b"", "train/y/": b""},
            "class 'y' has no picture",
        ),
    ],
)
def test_an_archive_without_a_dataset_is_told_why(
    packed: Packed, members: dict[str, bytes], message: str
) -> None:
    if "test/x/" in members:
        members = members | {"test/cat/1.png": picture(1)}
    with pytest.raises(DatasetRejected, match=message):
        read(packed(members))


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o120777 << 16


def as_device(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o020666 << 16


def as_encrypted(info: zipfile.ZipInfo) -> None:
    info.flag_bits |= 0x1


def as_lzma(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_LZMA


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (as_link, "'dog/2.png' is a link"),
        (as_device, "'dog/2.png' is a special file"),
        (as_encrypted, "'dog/2.png' is encrypted"),
        (as_lzma, "'dog/2.png' is packed by method 14"),
    ],
)
def test_a_link_or_an_encrypted_member_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in PAIR.items():
            archive.writestr(name, data)
        info = zipfile.ZipInfo("dog/2.png")
        archive.writestr(info, b"/etc/passwd")
        edit(info)  # the directory is written at the end, from this
    with pytest.raises(DatasetRejected, match=message):
        read(path)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100_000), b"PK\5\6", b"PK\3\4" + bytes(500)])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "upload.zip"
    path.write_bytes(data)
    with pytest.raises(DatasetRejected, match=f"not a zip file: .* {len(data):,} bytes") as caught:
        read(path)
    assert caught.value.field == "archive"


def test_a_million_entries_claimed_are_refused_by_the_claim(tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    short = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    path.write_bytes(large + locator + short)
    with pytest.raises(DatasetRejected, match="1,000,000 entries; at most 100,000"):
        read(path)


def test_a_million_entries_present_are_refused_before_a_list_is_built(tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    entry = struct.pack("<4s24x3H12x", b"PK\1\2", 1, 0, 0) + b"a"
    directory = entry * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), 0, 0)  # claims one
    path.write_bytes(directory + end)
    tracemalloc.start()
    with pytest.raises(DatasetRejected, match="100,001 entries; at most 100,000"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < len(directory) + 2**20
    tracemalloc.stop()


def test_a_directory_too_large_for_its_entries_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 10**9, 0, 0)
    path.write_bytes(end)
    with pytest.raises(DatasetRejected, match="directory has 1,000,000,000 bytes; at most"):
        read(path)
    path.write_bytes(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 1000, 0, 0))
    with pytest.raises(DatasetRejected, match="directory claims 1,000 bytes; the file has 22"):
        read(path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (replace(DEFAULT_LIMITS, max_entries=1), "2 entries; at most 1 are"),
        (replace(DEFAULT_LIMITS, max_images=1), "2 images; at most 1 are"),
        (replace(DEFAULT_LIMITS, max_classes=1), "2 classes; at most 1 are"),
        (replace(DEFAULT_LIMITS, max_bytes=47), "2 images of 4x6x1 take 48 bytes.*at most 47 are"),
        (replace(DEFAULT_LIMITS, max_archive_bytes=100), "unpacks to .* at most 100 are"),
        (replace(DEFAULT_LIMITS, max_file_bytes=20), "cat/1.png has .* bytes; at most 20 are"),
        (replace(DEFAULT_LIMITS, max_pixels=23), "cat/1.png: 6×4 pixels; at most 23 are"),
    ],
)
def test_each_limit_is_kept(packed: Packed, limits: Limits, message: str) -> None:
    with pytest.raises(DatasetRejected, match=message):
        read(packed(PAIR), limits=limits)


def test_a_picture_bomb_in_a_zip_is_never_unpacked(packed: Packed) -> None:
    path = packed({**PAIR, "dog/2.png": bytes(80 * 2**20)})
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(DatasetRejected, match=r"dog/2\.png has 83,886,080 bytes; at most"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_member_that_is_longer_than_it_says_is_not_read_on(packed: Packed) -> None:
    data = packed({**PAIR, "dog/2.png": bytes(10**6)}).read_bytes()
    path = packed(PAIR)
    path.write_bytes(data.replace(struct.pack("<L", 10**6), struct.pack("<L", 100)))
    with pytest.raises(DatasetRejected, match=r"dog/2.png is damaged: (Bad CRC|Overlap)"):
        read(path)


def test_damage_in_the_middle_is_refused(packed: Packed) -> None:
    path = packed({name: encode_png(noise()) for name in PAIR})
    sound = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(100):
        data = bytearray(sound)
        for place in rng.integers(0, len(data), 4):
            data[place] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            read(path, shape=ImageShape(4, 6, 1))
        except DatasetRejected:
            continue


def noise() -> UInt8Array:
    return np.random.default_rng(2).integers(0, 256, (4, 6), dtype=np.uint8)


def test_a_zip_with_bytes_before_it_and_a_comment_after_is_a_zip(packed: Packed) -> None:
    path = packed(PAIR)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    path.write_bytes(io.BytesIO(b"#!/bin/sh\n" + path.read_bytes()).getvalue())
    assert len(read(path).images) == 2
