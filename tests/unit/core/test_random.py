"""Counter-based randomness: the published generator, and independence of batches."""

import numpy as np
import pytest
from convnest_core import Array, CoreError, Dropout, Run, Sequential, build, shuffled, uniform
from convnest_core.random import normal, philox4x32

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ),
        (
            (ONES, ONES, ONES, ONES),
            (ONES, ONES),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (np.array([word], np.uint64) for word in counter)
    np.testing.assert_array_equal(philox4x32((c0, c1, c2, c3), key)[0], expected)


def test_numbers_depend_on_seed_name_epoch_and_sample_and_on_nothing_else() -> None:
    samples = np.array([5, 9, 2**33 + 5])
    drawn = uniform("a", seed=1, epoch=2, samples=samples, count=1001)
    alone = uniform("a", seed=1, epoch=2, samples=samples[1:2], count=3)
    np.testing.assert_array_equal(alone[0], drawn[1, :3])
    others = [
        uniform("b", seed=1, epoch=2, samples=samples, count=1001),
        uniform("a", seed=2, epoch=2, samples=samples, count=1001),
        uniform("a", seed=1, epoch=3, samples=samples, count=1001),
        np.roll(drawn, 1, axis=0),
    ]
    assert all((other != drawn).mean() > 0.99 for other in others)
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.02


def test_normal_numbers_are_normal() -> None:
    drawn = normal("w", (300, 701), seed=3, dtype=np.dtype(np.float64))
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((np.abs(drawn) < 1).mean() - 0.6827) < 0.01
    assert abs((drawn**4).mean() - 3) < 0.05
    pairs = np.corrcoef(drawn.ravel()[0:-1], drawn.ravel()[1:])[0, 1]
    assert abs(pairs) < 0.01


def test_an_epochs_order_is_a_permutation_of_its_own() -> None:
    first, second = shuffled(1000, seed=0, epoch=0), shuffled(1000, seed=0, epoch=1)
    np.testing.assert_array_equal(np.sort(first), np.arange(1000))
    np.testing.assert_array_equal(first, shuffled(1000, seed=0, epoch=0))
    assert (first == second).mean() < 0.02
    assert len(shuffled(0, seed=0, epoch=0)) == 0


def test_dropout_does_not_depend_on_how_a_batch_is_split() -> None:
    module = Dropout(0.3)
    build(module, (7, 5, 3), seed=0)
    x = np.ones((8, 7, 5, 3), np.float32)
    samples = np.array([40, 2, 17, 5, 99, 3, 1, 0])

    def dropped(part: slice) -> Array:
        run = Run(training=True, seed=4, epoch=1, samples=samples[part])
        return module.forward(x[part], run)[0]

    whole = dropped(slice(0, 8))
    np.testing.assert_array_equal(
        np.concatenate([dropped(slice(0, 3)), dropped(slice(3, 8))]), whole
    )
    assert set(np.unique(whole)) == {np.float32(0), np.float32(1) * np.float32(1 / 0.7)}
    assert abs((whole == 0).mean() - 0.3) < 0.05


def test_dropout_differs_by_epoch_seed_and_layer() -> None:
    module = Sequential([Dropout(0.5), Dropout(0.5)])
    build(module, (500,), seed=0)
    x = np.ones((1, 500), np.float32)

    def dropped(layer: int, *, seed: int, epoch: int) -> Array:
        run = Run(training=True, seed=seed, epoch=epoch, samples=np.array([3]))
        return module.children()[str(layer)].forward(x, run)[0]

    one = dropped(0, seed=0, epoch=0)
    np.testing.assert_array_equal(one, dropped(0, seed=0, epoch=0))
    for other in (
        dropped(0, seed=0, epoch=1),
        dropped(0, seed=1, epoch=0),
        dropped(1, seed=0, epoch=0),
    ):
        assert 0.4 < (one == other).mean() < 0.6


def test_dropout_wants_the_samples_of_the_batch() -> None:
    module = Dropout(0.5)
    build(module, (4,), seed=0)
    with pytest.raises(CoreError, match="one sample index for each image, got 0 for a batch of 2"):
        module.forward(np.ones((2, 4), np.float32), Run(training=True))
