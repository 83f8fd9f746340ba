"""Augmentations: what each does to an image, and that an image's numbers are its own."""

from typing import Any

import numpy as np
import pytest
from convnest_core.augmentation import AUGMENTATIONS, Colours, augmented, mixed
from convnest_core.recipe import complete
from hypothesis import given
from hypothesis import strategies as st

COLOURS = Colours.of(np.array([0.5, 0.25, 0.75]), np.diag([0.04, 0.01, 0.09]))


def step(name: str, **settings: float) -> dict[str, Any]:
    full, problems = complete(AUGMENTATIONS, {"name": name, **settings}, default="")
    assert not problems
    return full


def images(n: int = 6, size: tuple[int, int] = (12, 10)) -> Any:
    return np.random.default_rng(0).random((n, *size, 3), np.float32)


def vary(x: Any, *steps: dict[str, Any], epoch: int = 0, samples: Any = None) -> Any:
    samples = np.arange(len(x)) if samples is None else samples
    return augmented(x, steps, seed=3, epoch=epoch, samples=samples, colours=COLOURS)


PIXELWISE = [name for name in AUGMENTATIONS if name != "mixup"]


@pytest.mark.parametrize("name", PIXELWISE)
def test_an_image_is_varied_alike_in_any_batch_and_otherwise_in_another_epoch(name: str) -> None:
    x = images(8)
    before = x.copy()
    whole = vary(x, step(name))
    assert (whole.shape, whole.dtype) == (x.shape, x.dtype)
    np.testing.assert_array_equal(x, before)
    order = np.array([5, 0, 7, 2])
    np.testing.assert_array_equal(vary(x[order], step(name), samples=order), whole[order])
    assert (vary(x, step(name), epoch=1) != whole).any()
    assert whole.min() >= 0
    assert whole.max() <= 1


@given(st.sampled_from(PIXELWISE), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_any_size_is_taken(name: str, n: int, height: int, width: int) -> None:
    x = images(n, (height, width))
    assert vary(x, step(name)).shape == x.shape


def test_a_crop_moves_the_image_and_fills_with_black() -> None:
    x = images(40) + 0.1
    y = vary(x, step("crop", padding=2))
    for before, after in zip(x, y, strict=True):
        moved = [
            np.pad(before, ((2, 2), (2, 2), (0, 0)))[i : i + 12, j : j + 10]
            for i in range(5)
            for j in range(5)
        ]
        assert any(np.array_equal(after, one) for one in moved)


def test_flips_are_about_as_many_as_asked_for() -> None:
    x = images(400)
    y = vary(x, step("flip", probability=0.25))
    flipped = (y == x[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (y == x).all(axis=(1, 2, 3))
    assert (flipped ^ same).all()
    assert 0.17 < flipped.mean() < 0.33


def test_a_turn_by_nothing_and_a_crop_of_all_change_nothing() -> None:
    x = images()
    np.testing.assert_allclose(vary(x, step("rotate", degrees=0)), x, atol=1e-6)
    whole = step("resized_crop", least_area=1, most_stretch=1)
    np.testing.assert_allclose(vary(x, whole), x, atol=1e-5)


def test_a_turn_keeps_the_centre_and_blackens_corners() -> None:
    x = np.ones((30, 21, 21, 3), np.float32)
    y = vary(x, step("rotate", degrees=180))
    np.testing.assert_allclose(y[:, 10, 10], 1, atol=1e-6)
    assert (y[:, 0, 0, 0] < 0.5).any()


def test_a_part_of_a_ramp_is_a_ramp() -> None:
    x = np.broadcast_to(np.linspace(0, 1, 30, dtype=np.float32)[:, None], (30, 30))
    y = vary(np.repeat(x[None, :, :, None], 3, axis=3).repeat(5, axis=0), step("resized_crop"))
    slopes = np.diff(y[:, 2:-2, 15, 0], axis=1)
    assert (slopes > 0).all()
    np.testing.assert_allclose(slopes, slopes.mean(axis=1, keepdims=True) + 0 * slopes, atol=1e-4)


def test_jitter_of_strength_zero_changes_nothing() -> None:
    x = images()
    still = step("jitter", brightness=0, contrast=0, saturation=0)
    np.testing.assert_allclose(vary(x, still), x, atol=1e-6)


def test_lighting_shifts_whole_images_along_the_colours_axes() -> None:
    x = np.full((2000, 1, 1, 3), 0.5, np.float32)
    shift = vary(x, step("lighting"))[:, 0, 0] - 0.5
    np.testing.assert_allclose(shift.std(axis=0), [0.02, 0.01, 0.03], rtol=0.1)


def test_a_hole_has_the_mean_colour_and_its_size() -> None:
    x = np.zeros((50, 16, 16, 3), np.float32)
    y = vary(x, step("cutout", size=4))
    holes = (y == COLOURS.mean).all(axis=3)
    np.testing.assert_array_equal(holes.any(axis=3 - 1), (y != 0).any(axis=(2, 3)))
    counts = holes.sum(axis=(1, 2))
    assert counts.max() == 16
    assert counts.min() >= 4


def test_mixup_mixes_images_and_labels_alike() -> None:
    x, labels = images(), np.array([0, 1, 2, 3, 4, 5])
    arguments: dict[str, Any] = {"classes": 6, "seed": 1, "epoch": 2, "samples": np.arange(6)}
    assert mixed(x, labels, [step("flip")], **arguments) is None
    pair = mixed(x, labels, [step("mixup", alpha=1)], **arguments)
    assert pair is not None
    y, targets = pair
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(y.reshape(6, -1), targets @ x.reshape(6, -1), atol=1e-5)
    again = mixed(x, labels, [step("mixup", alpha=1)], **arguments)
    assert again is not None
    np.testing.assert_array_equal(again[0], y)
