"""What a picture becomes is the same in training and in serving, and as the formula says."""

import numpy as np
import pytest
from convnest_store.images import ImageShape
from convnest_store.registry import Preprocessing
from convnest_worker.preprocess import Normalisation, measure
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2**32), st.sampled_from([1, 3]), st.integers(1, 1100))
def test_measured_mean_and_deviation_are_the_images_own(
    seed: int, channels: int, count: int
) -> None:
    shape = ImageShape(2, 3, channels)
    images = np.random.default_rng(seed).integers(0, 256, (count, 2, 3, channels), dtype=np.uint8)
    prepare = measure(images, shape)
    unit = images / 255
    np.testing.assert_allclose(prepare.mean, unit.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(prepare.std, unit.std(axis=(0, 1, 2)), rtol=1e-6)
    x = Normalisation.of(prepare).pixels(images)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_a_channel_of_one_value_is_not_divided_by_zero() -> None:
    images = np.full((4, 2, 2, 1), 255, np.uint8)
    prepare = measure(images, ImageShape(2, 2, 1))
    assert (prepare.mean, prepare.std) == ((1.0,), (1.0,))
    assert not Normalisation.of(prepare).pixels(images).any()


def test_bytes_and_numbers_from_0_to_1_become_the_same() -> None:
    prepare = Preprocessing(ImageShape(2, 2, 3), (0.1, 0.5, 0.9), (0.2, 0.3, 0.01))
    images = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    normalisation = Normalisation.of(prepare)
    by_unit = normalisation.unit((images / 255).astype(np.float32))
    expected = (images / 255 - prepare.mean) / prepare.std
    np.testing.assert_allclose(normalisation.pixels(images), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_unit, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("count", [1, 5])
def test_a_row_does_not_depend_on_its_neighbours(count: int) -> None:
    prepare = Preprocessing(ImageShape(3, 3, 1), (0.4,), (0.3,))
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 3, 1), dtype=np.uint8)
    together = Normalisation.of(prepare).pixels(images)
    for row in range(count):
        assert Normalisation.of(prepare).pixels(images[row]).tobytes() == together[row].tobytes()
