"""The fast kernels against the course's readable ones, on shapes that hypothesis draws."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from convnest_core import Array, kernels, textbook
from convnest_core.kernels import convolution
from convnest_core.kernels.scratch import scratch
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], int, int]:
    """An image size, a kernel that fits, a stride and a padding of at most half the kernel."""
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    padding = draw(st.integers(0, min(kernel) // 2))
    size = tuple(max(k - 2 * padding, 1) + draw(st.integers(0, 6)) for k in kernel)
    return (size[0], size[1]), kernel, draw(st.integers(1, 5)), padding


def images(seed: int, n: int, size: tuple[int, int], c: int) -> Array:
    return np.random.default_rng(seed).standard_normal((n, *size, c))


def first(x: Array) -> Array:
    """Channels first, for the textbook."""
    return x.transpose(0, 3, 1, 2)


@settings(max_examples=60, deadline=None)
@given(windows(), st.integers(1, 3), st.sampled_from([1, 2, 3, 17]), st.integers(1, 4), st.data())
def test_convolution_is_the_textbook_one(
    window: tuple[tuple[int, int], tuple[int, int], int, int],
    n: int,
    c: int,
    filters: int,
    data: st.DataObject,
) -> None:
    size, kernel, stride, padding = window
    seed = data.draw(st.integers(0, 1000))
    x = images(seed, n, size, c)
    rng = np.random.default_rng(seed + 1)
    w, b = rng.standard_normal((*kernel, c, filters)), rng.standard_normal(filters)
    strides, paddings = (stride, stride), (padding, padding)
    y = kernels.convolve(x, w, b, stride=strides, padding=paddings)
    oihw = w.transpose(3, 2, 0, 1)
    expected = [textbook.convolve(i, oihw, b, stride=stride, padding=padding) for i in first(x)]
    np.testing.assert_allclose(first(y), expected, rtol=1e-10, atol=1e-12)

    dy = rng.standard_normal(y.shape)
    gradients = kernels.convolve_backward(
        x, w, dy, stride=strides, padding=paddings, bias=True, input_gradient=True
    )
    for backward in (textbook.convolve_backward, textbook.convolve_backward_by_pixel):
        parts = [
            backward(i, oihw, d, stride=stride, padding=padding)
            for i, d in zip(first(x), first(dy), strict=True)
        ]
        dx, dw, db = zip(*parts, strict=True)
        assert gradients.dx is not None
        assert gradients.db is not None
        np.testing.assert_allclose(first(gradients.dx), dx, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(
            gradients.dw.transpose(3, 2, 0, 1), sum(dw), rtol=1e-10, atol=1e-11
        )
        np.testing.assert_allclose(gradients.db, sum(db), rtol=1e-10, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(windows(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_pooling_is_the_textbook_one(
    window: tuple[tuple[int, int], tuple[int, int], int, int], n: int, c: int, seed: int
) -> None:
    size, kernel, stride, padding = window
    x = images(seed, n, size, c)
    strides, paddings = (stride, stride), (padding, padding)
    y, rows = kernels.max_pool(x, kernel=kernel, stride=strides, padding=paddings)
    dy = np.random.default_rng(seed + 1).standard_normal(y.shape)
    dx = kernels.max_pool_backward(x, rows, y, dy, kernel=kernel, stride=strides, padding=paddings)
    mean = kernels.average_pool(x, kernel=kernel, stride=strides, padding=paddings)
    dmean = kernels.average_pool_backward(dy, size, kernel=kernel, stride=strides, padding=paddings)
    for i in range(n):
        image, gradient = first(x)[i], first(dy)[i]
        options = {"stride": stride, "padding": padding}
        np.testing.assert_array_equal(first(y)[i], textbook.max_pool(image, size=kernel, **options))
        np.testing.assert_allclose(
            first(dx)[i],
            textbook.max_pool_backward(image, gradient, size=kernel, **options),
            atol=1e-12,
        )
        np.testing.assert_allclose(
            first(mean)[i], textbook.average_pool(image, size=kernel, **options), atol=1e-12
        )
        np.testing.assert_allclose(
            first(dmean)[i],
            textbook.average_pool_backward(image, gradient, size=kernel, **options),
            atol=1e-12,
        )


def test_the_size_of_a_tile_changes_nothing_but_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = images(0, 5, (11, 9), 3)
    w = np.random.default_rng(1).standard_normal((3, 3, 3, 4))
    dy = np.random.default_rng(2).standard_normal((5, 11, 9, 4))

    def everything() -> tuple[Array, ...]:
        y = kernels.convolve(x, w, None, stride=(1, 1), padding=(1, 1))
        gradients = kernels.convolve_backward(
            x, w, dy, stride=(1, 1), padding=(1, 1), bias=False, input_gradient=True
        )
        assert gradients.dx is not None
        return y, gradients.dx, gradients.dw

    whole = everything()
    # One pixel row of one image at a time, and one image at a time.
    monkeypatch.setattr(convolution, "_TILE_BYTES", 1)
    monkeypatch.setattr(convolution, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(convolution, "_SPREAD_BYTES", 1)
    for tiled, expected in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(tiled, expected, rtol=1e-12, atol=1e-12)
    image_bytes = 27 * 13 * 11 * 8  # of the padded image's columns
    monkeypatch.setattr(convolution, "_SPREAD_BYTES", image_bytes)
    for tiled, expected in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(tiled, expected, rtol=1e-12, atol=1e-12)


def test_scratch_memory_belongs_to_its_thread() -> None:
    dtype = np.dtype(np.float32)
    ours = scratch("here", (3, 4), dtype)
    assert np.shares_memory(ours, scratch("here", (2, 2), dtype))
    assert not np.shares_memory(ours, scratch("there", (3, 4), dtype))
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(scratch, "here", (3, 4), dtype).result()
    assert not np.shares_memory(ours, theirs)


def test_alexnets_first_layer_has_the_shapes_of_the_slides() -> None:
    x_col = textbook.im2col(np.zeros((3, 227, 227), np.float32), kernel=(11, 11), stride=4)
    assert x_col.shape == (363, 3025)
