"""An npz becomes a dataset; what it claims is checked before memory is spent on it."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from convnest_store.datasets import Dataset
from convnest_store.errors import DatasetRejected
from convnest_store.images import ImageShape
from convnest_store.ingest import DEFAULT_LIMITS, Limits, read_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Arrays = dict[str, npt.NDArray[Any]]  # Any: deliberately wrong types too

IMAGES = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
PLAIN: Arrays = {"images": IMAGES, "labels": np.array([0, 1, 1, 0])}
FLOATS = IMAGES / 255


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[Arrays], Path]:
    def pack(arrays: Arrays) -> Path:
        path = tmp_path / "upload.npz"
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # its flags are no arrays
        return path

    return pack


Packed = Callable[[Arrays], Path]


def read(
    path: Path, *, shape: ImageShape | None = None, limits: Limits = DEFAULT_LIMITS
) -> Dataset:
    return read_dataset(path, format="npz", shape=shape, limits=limits)


def test_images_and_labels_are_a_dataset(packed: Packed) -> None:
    dataset = read(packed(PLAIN))
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
    assert dataset.labels.tolist() == [0, 1, 1, 0]
    assert dataset.classes == ("0", "1")
    assert len(dataset.test_images) == 0


def test_a_held_out_part_and_class_names(packed: Packed) -> None:
    dataset = read(
        packed(
            {
                **PLAIN,
                "classes": np.array(["cat", "dog"]),
                "test_images": IMAGES[:1],
                "test_labels": np.array([1], np.uint8),
            }
        )
    )
    assert dataset.classes == ("cat", "dog")
    assert dataset.test_labels.tolist() == [1]
    np.testing.assert_array_equal(dataset.test_images[0, ..., 0], IMAGES[0])


def test_labels_may_be_strings(packed: Packed) -> None:
    words = np.array(["dog", "cat", "cat", "dog"])
    assert read(packed({"images": IMAGES, "labels": words})).classes == ("cat", "dog")
    listed = read(packed({"images": IMAGES, "labels": words, "classes": np.array(["dog", "cat"])}))
    assert listed.labels.tolist() == [0, 1, 1, 0]
    as_bytes = read(packed({"images": IMAGES, "labels": np.char.encode(words, "utf-8")}))
    assert as_bytes.classes == ("cat", "dog")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_floats_become_bytes(packed: Packed, dtype: str) -> None:
    dataset = read(packed({**PLAIN, "images": FLOATS.astype(dtype)}))
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)


def test_the_order_in_memory_does_not_matter(packed: Packed) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3, 3), dtype=np.uint8)
    plain = read(packed({**PLAIN, "images": colour}))
    fortran = read(packed({**PLAIN, "images": np.asfortranarray(colour)}))
    assert fortran.digest == plain.digest
    np.testing.assert_array_equal(plain.images, colour)


def test_images_are_resized_when_asked_or_too_large(packed: Packed) -> None:
    shape = ImageShape(5, 5, 3)
    dataset = read(
        packed({**PLAIN, "test_images": IMAGES, "test_labels": PLAIN["labels"]}), shape=shape
    )
    assert dataset.shape == shape
    assert dataset.test_images.shape == (4, 5, 5, 3)
    small = replace(DEFAULT_LIMITS, max_side=2)
    assert read(packed({**PLAIN, "images": np.zeros((4, 2, 4), np.uint8)}), limits=small).shape == (
        ImageShape(1, 2, 1)
    )


def test_progress_ends_with_all(packed: Packed) -> None:
    told: list[tuple[int, int]] = []
    path = packed({**PLAIN, "test_images": IMAGES[:2], "test_labels": np.array([0, 1])})
    read_dataset(path, format="npz", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"images": None}, "images", "images is missing; got labels"),
        ({"labels": None}, "labels", "labels is missing; got images"),
        ({"pictures": IMAGES}, "archive", "'pictures' is no array of a dataset; there are images,"),
        ({"test_images": IMAGES}, "test_images", "need each other"),
        ({"test_labels": np.array([1])}, "test_images", "need each other"),
        ({"images": IMAGES[0]}, "images", r"must be \(N, H, W\).*got \(2, 3\)"),
        ({"images": IMAGES[..., None, None]}, "images", r"got \(4, 2, 3, 1, 1\)"),
        ({"images": np.zeros((4, 2, 3, 4), np.uint8)}, "images", r"got \(4, 2, 3, 4\)"),
        ({"images": np.zeros((4, 0, 3), np.uint8)}, "images", r"got \(4, 0, 3\)"),
        (
            {"images": np.zeros((0, 2, 3), np.uint8), "labels": np.zeros(0, int)},
            "images",
            "got zero",
        ),
        ({"images": IMAGES.astype(np.int64)}, "images", "must be uint8, or floats.*got int64"),
        ({"images": IMAGES.astype(complex)}, "images", "got complex128"),
        (
            {"images": np.array(IMAGES, object)},
            "images",
            "holds Python objects; they are never unp",
        ),
        ({"labels": np.array([0, "x", None, 1], object)}, "labels", "holds Python objects"),
        ({"images": FLOATS * 255}, "images", "must be 0 to 1, got 2.0 in image 0"),
        ({"images": FLOATS - 1}, "images", "must be 0 to 1, got -1.0 in image 0"),
        ({"images": np.where(IMAGES == 13, np.nan, FLOATS)}, "images", "got nan in image 2"),
        ({"images": np.where(IMAGES == 23, np.inf, FLOATS)}, "images", "got inf in image 3"),
        (
            {"images": np.asfortranarray(np.where(IMAGES == 13, np.nan, FLOATS))},
            "images",
            "got nan in image 2",
        ),
        ({"labels": np.array([0, 1, 1])}, "labels", r"must be \(4,\).*got \(3,\)"),
        ({"labels": np.zeros((4, 1), int)}, "labels", r"must be \(4,\).*got \(4, 1\)"),
        ({"labels": np.array([0, 1, -1, 0])}, "labels", "must be 0 to 1, got -1"),
        ({"labels": np.array([0, 1, 3, 0])}, "labels", "class '2' has no image"),
        ({"labels": np.array([0, 2**63, 3, 0], np.uint64)}, "classes", "classes; at most 10,000"),
        ({"labels": np.array([0.0, 1.0, 1.0, 0.0])}, "labels", "integers or strings, got float64"),
        ({"labels": np.zeros(4, bool)}, "labels", "integers or strings, got bool"),
        ({"labels": np.zeros(4, int)}, "classes", r"at least 2 classes are needed, got \['0'\]"),
        ({"labels": np.array(["a"] * 4)}, "classes", r"at least 2 classes are needed, got \['a'\]"),
        ({"labels": np.array(["x" * 300] * 4)}, "labels", "at most 200 characters each"),
        ({"labels": np.array([b"a", b"\xff", b"a", b"a"])}, "labels", "must be UTF-8"),
        ({"labels": np.array(["", "a", "a", "a"])}, "classes", "1 to 200 characters, got ''"),
        ({"classes": np.array(["only"])}, "labels", "must be 0 to 0, got 1"),
        ({"classes": np.array([0, 1])}, "classes", "must be strings, got int64"),
        ({"classes": np.array(["a", "a"])}, "classes", "must differ"),
        (
            {"labels": np.array(list("abba")), "classes": np.array(["a", "c"])},
            "labels",
            "holds 'b', which is not one of the classes",
        ),
        (
            {"test_images": IMAGES, "test_labels": np.array(list("abba"))},
            "test_labels",
            "are strings; like labels they must be integers",
        ),
        (
            {
                "labels": np.array(list("abba")),
                "test_images": IMAGES,
                "test_labels": np.array([0, 1, 1, 0]),
            },
            "test_labels",
            "are integers; like labels they must be strings",
        ),
        (
            {"test_images": IMAGES, "test_labels": np.array([0, 1, 2, 0])},
            "test_labels",
            "must be 0 to 1, got 2",
        ),
        (
            {"test_images": IMAGES[:, :1], "test_labels": PLAIN["labels"]},
            "test_images",
            r"test_images are \(1, 3, 1\); images are \(2, 3, 1\)",
        ),
    ],
)
def test_arrays_that_are_no_dataset_are_told_why(
    packed: Packed, changed: dict[str, Any], field: str, message: str
) -> None:
    arrays = {name: array for name, array in {**PLAIN, **changed}.items() if array is not None}
    with pytest.raises(DatasetRejected, match=message) as caught:
        read(packed(arrays))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (replace(DEFAULT_LIMITS, max_images=3), "4 images; at most 3"),
        (replace(DEFAULT_LIMITS, max_bytes=23), "images has 24 values; at most 23"),
        (replace(DEFAULT_LIMITS, max_classes=1), "2 classes; at most 1"),
        (replace(DEFAULT_LIMITS, max_entries=1), "2 entries; at most 1"),
    ],
)
def test_each_limit_is_kept(packed: Packed, limits: Limits, message: str) -> None:
    with pytest.raises(DatasetRejected, match=message):
        read(packed(PLAIN), limits=limits)


def test_the_limit_holds_for_what_is_asked_for_too(packed: Packed) -> None:
    limits = replace(DEFAULT_LIMITS, max_bytes=100)
    with pytest.raises(DatasetRejected, match="4 images of 9x9x1 take 324 bytes"):
        read(packed(PLAIN), shape=ImageShape(9, 9, 1), limits=limits)


def npy(shape: tuple[int, ...], data: bytes, *, descr: str = "|u1", version: int = 1) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    size = struct.pack("<H", len(header)) if version == 1 else struct.pack("<L", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def zipped(path: Path, images: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", images)
        labels = io.BytesIO()
        np.save(labels, PLAIN["labels"])
        archive.writestr("labels.npy", labels.getvalue())
    return path


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (npy((4, 10**6, 10**6), bytes(24)), "claims uint8.*4,000,000,000,000 bytes; 24 follow"),
        (npy((10**30, 2, 3), bytes(24)), "claims uint8"),
        (npy((-4, -2, 3), bytes(24)), "claims uint8"),
        (npy((4, 2, 3), bytes(23)), "24 bytes; 23 follow its header"),
        (npy((4, 2, 3), bytes(25)), "24 bytes; 25 follow its header"),
        (npy((4, 2, 3), b"", descr="|S0"), "elements of no size"),
        (npy((4, 2, 3), bytes(24), version=2), r"npy format \(2, 0\)"),
        (npy((4, 2, 3), bytes(24), descr="|O"), "never unpickled"),
        (npy((4, 2, 3), bytes(24), descr="zzz"), "not an npy array"),
        (b"\x93NUMPY\1\0\x20\0" + b"__import__('os').abort() ".ljust(32), "not an npy array"),
        (b"hello", "not an npy array"),
        (b"", "not an npy array"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, images: bytes, message: str) -> None:
    with pytest.raises(DatasetRejected, match=message) as caught:
        read(zipped(tmp_path / "upload.npz", images))
    assert caught.value.field == "images"


def test_a_bomb_is_stopped_before_it_unpacks(tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload.npz", npy((4, 4000, 4000), bytes(64_000_000)))
    assert path.stat().st_size < 2**18
    tracemalloc.start()
    with pytest.raises(DatasetRejected, match="64,000,000 values; at most"):
        read(path, limits=replace(DEFAULT_LIMITS, max_bytes=2**20))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_data_that_ends_before_it_should_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload.npz", npy((4, 2, 3), bytes(24)))
    data = path.read_bytes()
    size = struct.pack("<L", len(npy((4, 2, 3), bytes(24))))
    longer = struct.pack("<L", len(npy((4, 9, 9), bytes(24))) + 300)
    path.write_bytes(data.replace(size, longer))
    with pytest.raises(DatasetRejected, match="bytes"):
        read(path)


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "upload.npy"
    np.save(path, IMAGES)
    with pytest.raises(DatasetRejected, match="not a zip file"):
        read(path)


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "upload.npz", npy((4, 2, 3), bytes(24)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images", npy((4, 2, 3), bytes(24)))
    with pytest.raises(DatasetRejected, match="images is in the archive twice"):
        read(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_damage_anywhere_is_refused_or_harmless(
    packed: Packed, places: list[tuple[int, int]]
) -> None:
    path = packed(PLAIN)
    data = bytearray(path.read_bytes())
    for place, value in places:
        data[place % len(data)] = value
    path.write_bytes(data)
    try:
        read(path)
    except DatasetRejected:
        return
