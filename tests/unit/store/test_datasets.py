"""A dataset is what its content is: saved, loaded and split the same each time."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convnest_store.builtin import BUILTINS, builtin
from convnest_store.datasets import Dataset
from convnest_store.errors import (
    BlobCorrupt,
    DatasetRejected,
    FailedPrecondition,
    InvalidInput,
    NotFound,
)
from convnest_store.images import ImageShape
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

DIGITS = "sha256:f511c348efb3135cc40a7c1e406d4d5a91e53936385af996b8633ce4927ca925"


def a_dataset(**changed: Any) -> Dataset:  # Any: deliberately wrong parts too
    parts: dict[str, Any] = {
        "images": np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3, 1),
        "labels": np.array([0, 1, 1, 0]),
        "classes": ("cat", "dog"),
        "test_images": np.zeros((1, 2, 3, 1), np.uint8),
        "test_labels": np.array([1]),
    }
    return Dataset(**{**parts, **changed})


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    classes = draw(
        st.lists(
            st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8),
            min_size=2,
            max_size=5,
            unique=True,
        )
    )
    labels = [*range(len(classes)), *draw(st.lists(st.integers(0, len(classes) - 1), max_size=40))]
    test_labels = draw(st.lists(st.integers(0, len(classes) - 1), max_size=5))
    sides = draw(st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def pixels(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return rng.integers(0, 256, (count, *sides), dtype=np.uint8)

    return Dataset(
        images=pixels(len(labels)),
        labels=np.array(draw(st.permutations(labels)), np.int64),
        classes=tuple(classes),
        test_images=pixels(len(test_labels)),
        test_labels=np.array(test_labels, np.int64),
    )


@settings(max_examples=40, deadline=None)
@given(dataset=datasets())
def test_what_is_saved_is_loaded(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("saved") / "dataset.safetensors"
    dataset.save(path)
    loaded = Dataset.load(path)
    assert loaded.digest == dataset.digest
    assert loaded.classes == dataset.classes
    for name in ("images", "labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(dataset, name))
        assert getattr(loaded, name).dtype == getattr(dataset, name).dtype


@settings(max_examples=60, deadline=None)
@given(
    dataset=datasets(),
    seed=st.integers(0, 2**64 - 1),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_a_split_covers_all_keeps_parts_apart_and_every_class_in_both(
    dataset: Dataset, seed: int, fraction: float
) -> None:
    train, validation = dataset.split(seed, fraction)
    both = np.concatenate([train, validation])
    assert sorted(both.tolist()) == list(range(len(dataset.labels)))
    for label in range(len(dataset.classes)):
        count = int((dataset.labels == label).sum())
        held = int((dataset.labels[validation] == label).sum())
        assert held == (min(max(round(count * fraction), 1), count - 1) if count > 1 else 0)
    again = dataset.split(seed, fraction)
    np.testing.assert_array_equal(again[0], train)
    np.testing.assert_array_equal(again[1], validation)


def test_a_split_is_the_same_on_every_machine_and_differs_by_seed() -> None:
    digits = builtin("digits")
    train, validation = digits.split(7, 0.1)
    assert (len(train), len(validation)) == (1528, 169)
    assert validation[:5].tolist() == [8, 29, 34, 37, 48]
    assert digits.split(8, 0.1)[1][:5].tolist() != validation[:5].tolist()


def test_fraction_zero_validates_on_nothing() -> None:
    train, validation = a_dataset().split(0, 0.0)
    assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize(("seed", "fraction"), [(-1, 0.1), (2**64, 0.1), (0, 1.0), (0, -0.1)])
def test_a_split_out_of_range_is_refused(seed: int, fraction: float) -> None:
    with pytest.raises(InvalidInput, match="must be"):
        a_dataset().split(seed, fraction)
    with pytest.raises(InvalidInput, match="got nan"):
        a_dataset().split(0, float("nan"))


def test_the_digest_is_of_the_content_however_it_lies_in_memory() -> None:
    dataset = a_dataset()
    other = a_dataset(
        images=np.asfortranarray(dataset.images), labels=np.array([0, 9, 1, 9, 1, 9, 0, 9])[::2]
    )
    assert other.digest == dataset.digest
    assert a_dataset(classes=("dog", "cat")).digest != dataset.digest
    assert a_dataset(labels=np.array([1, 1, 1, 0])).digest != dataset.digest
    assert a_dataset(test_labels=np.array([0])).digest != dataset.digest
    turned = a_dataset(
        images=dataset.images.reshape(4, 3, 2, 1), test_images=np.zeros((1, 3, 2, 1), np.uint8)
    )
    assert turned.digest != dataset.digest


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        a_dataset().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_summary_counts_and_is_json() -> None:
    summary = a_dataset().summary()
    assert summary.shape == ImageShape(2, 3, 1)
    assert (summary.counts, summary.test_counts) == ((2, 2), (0, 1))
    assert (summary.images, summary.test_images, summary.size_bytes) == (4, 1, 30 + 40)
    assert json.loads(json.dumps(asdict(summary)))["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.zeros((4, 2, 3), np.uint8)}, "images must be uint8"),
        ({"images": np.zeros((4, 2, 3, 1))}, "images must be uint8.*got float64"),
        ({"images": np.zeros((3, 2, 3, 1), np.uint8)}, "3 images but 4 labels"),
        ({"images": np.zeros((4, 2, 2, 1), np.uint8)}, "test_images are 2×3×1.*must be 2×2×1"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels must be 0 to 1, got 0 to 2"),
        ({"labels": np.array([0, 1, -1, 0])}, "labels must be 0 to 1, got -1"),
        ({"labels": np.array([0, 1, 1, 0], np.int32)}, "labels must be int64"),
        ({"labels": np.array([1, 1, 1, 1])}, "class 'cat' has no image"),
        ({"test_labels": np.array([5])}, "test_labels must be 0 to 1"),
        ({"classes": ("cat",)}, "at least 2 classes are needed, got \\['cat'\\]"),
        ({"classes": ("cat", "cat")}, "class names must differ, got 'cat' 2 times"),
        ({"classes": ("cat", "")}, "1 to 200 characters, got ''"),
        ({"classes": ("cat", "d\nog")}, "must be printable"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetRejected, match=message):
        a_dataset(**changed)


def test_zero_images_are_refused() -> None:
    with pytest.raises(DatasetRejected, match="needs images, got zero"):
        a_dataset(images=np.zeros((0, 2, 3, 1), np.uint8), labels=np.zeros(0, np.int64))


def test_a_stored_dataset_that_is_damaged_or_foreign_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dataset.safetensors"
    a_dataset().save(path)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"\1")
    with pytest.raises(BlobCorrupt, match="its header"):
        Dataset.load(path)
    path.write_bytes(sound[:-1])
    with pytest.raises(BlobCorrupt, match="not a stored dataset"):
        Dataset.load(path)
    path.write_bytes(sound.replace(b'\\"cat\\"', b'\\"bat\\"'))
    with pytest.raises(BlobCorrupt):
        Dataset.load(path)
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(BlobCorrupt, match="no dataset header"):
        Dataset.load(path)


def test_a_newer_schema_is_told_from_damage(tmp_path: Path) -> None:
    path = tmp_path / "dataset.safetensors"
    a_dataset().save(path)
    save_file(load_file(path), path, metadata={"convnest": json.dumps({"schema": 99})})
    with pytest.raises(FailedPrecondition, match="schema 99; this version reads 1"):
        Dataset.load(path)


def test_the_digits_are_the_digits() -> None:
    digits = builtin("digits")
    assert digits.digest == DIGITS
    assert digits.shape == ImageShape(28, 28, 1)
    summary = digits.summary()
    assert (summary.images, summary.test_counts) == (1697, (10,) * 10)
    assert digits.classes == tuple("0123456789")
    assert digits.images.max() == 255
    assert digits.images[:, 0, 0].mean() < 5  # black ground


def test_a_builtin_that_is_not_there_is_told() -> None:
    assert list(BUILTINS) == ["digits"]
    with pytest.raises(NotFound, match="no builtin dataset 'mnist'; there are: digits"):
        builtin("mnist")
