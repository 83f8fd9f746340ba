"""The fast kernels against the course's readable ones, on shapes that hypothesis draws."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
from convnest_core import Array, kernels, textbook
from convnest_core.kernels.plain import convolution
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
        assert gradients.dw is not None
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
    y, places = kernels.max_pool_places(x, kernel=kernel, stride=strides, padding=paddings)
    np.testing.assert_array_equal(
        kernels.max_pool(x, kernel=kernel, stride=strides, padding=paddings), y
    )
    dy = np.random.default_rng(seed + 1).standard_normal(y.shape)
    dx = kernels.max_pool_backward(
        dy, places, size, kernel=kernel, stride=strides, padding=paddings
    )
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


@settings(max_examples=30, deadline=None)
@given(windows(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_groups_are_convolutions_side_by_side_and_dilation_puts_zeros_between_taps(
    window: tuple[tuple[int, int], tuple[int, int], int, int],
    groups: int,
    c: int,
    filters: int,
    dilation: int,
) -> None:
    size, kernel, stride, padding = window
    tall, wide = (n + (dilation - 1) * (k - 1) for n, k in zip(size, kernel, strict=True))
    x = images(1, 2, (tall, wide), c * groups)
    rng = np.random.default_rng(2)
    w = rng.standard_normal((*kernel, c, filters * groups))
    b = rng.standard_normal(filters * groups)
    options: dict[str, Any] = {
        "stride": (stride, stride),
        "padding": (padding, padding),
        "dilation": (dilation, dilation),
        "groups": groups,
    }
    y = kernels.convolve(x, w, b, **options)
    dy = rng.standard_normal(y.shape)
    got = kernels.convolve_backward(x, w, dy, **options, bias=True, input_gradient=True)
    assert got.dx is not None
    assert got.dw is not None
    assert got.db is not None
    reach = tuple(dilation * (k - 1) + 1 for k in kernel)
    apart = np.zeros((filters * groups, c, *reach))
    apart[:, :, ::dilation, ::dilation] = w.transpose(3, 2, 0, 1)
    plain = {"stride": stride, "padding": padding}
    for group in range(groups):
        inputs = slice(group * c, (group + 1) * c)
        outputs = slice(group * filters, (group + 1) * filters)
        dw, db = np.zeros_like(apart[outputs]), np.zeros(filters)
        for i in range(2):
            image, gradient = first(x)[i, inputs], first(dy)[i, outputs]
            expected = textbook.convolve(image, apart[outputs], b[outputs], **plain)
            np.testing.assert_allclose(first(y)[i, outputs], expected, rtol=1e-10, atol=1e-12)
            parts = textbook.convolve_backward(image, apart[outputs], gradient, **plain)
            np.testing.assert_allclose(first(got.dx)[i, inputs], parts[0], rtol=1e-10, atol=1e-11)
            dw += parts[1]
            db += parts[2]
        np.testing.assert_allclose(
            got.dw.transpose(3, 2, 0, 1)[outputs], dw[:, :, ::dilation, ::dilation], atol=1e-11
        )
        np.testing.assert_allclose(got.db[outputs], db, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(windows(), st.booleans(), st.integers(0, 1000))
def test_a_window_that_hangs_over_the_edge_pools_what_is_there(
    window: tuple[tuple[int, int], tuple[int, int], int, int], count_padding: bool, seed: int
) -> None:
    """Ceil mode, place by place as PyTorch's documentation has it."""
    size, kernel, stride, padding = window
    x = images(seed, 1, size, 1)
    strides, paddings = (stride, stride), (padding, padding)
    largest = kernels.max_pool(x, kernel=kernel, stride=strides, padding=paddings, ceil=True)
    mean = kernels.average_pool(
        x,
        kernel=kernel,
        stride=strides,
        padding=paddings,
        ceil=True,
        count_padding=count_padding,
    )
    tops, lefts = (
        [t for t in range(-padding, n, stride) if t == -padding or t + k - stride < n + padding]
        for n, k in zip(size, kernel, strict=True)
    )
    assert mean.shape == largest.shape == (1, len(tops), len(lefts), 1)
    for (i, top), (j, left) in product(enumerate(tops), enumerate(lefts)):
        bottom, right = min(top + kernel[0], size[0]), min(left + kernel[1], size[1])
        inside = x[0, max(top, 0) : bottom, max(left, 0) : right, 0]
        assert largest[0, i, j, 0] == inside.max()
        count = inside.size
        if count_padding:
            tall = min(top + kernel[0], size[0] + padding) - top
            count = tall * (min(left + kernel[1], size[1] + padding) - left)
        assert mean[0, i, j, 0] == pytest.approx(inside.sum() / count, abs=1e-12)


def test_the_error_function_is_maths_own_to_its_bound() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20_001), [0.0, -0.0, 30.0, -30.0, np.inf, -np.inf]])
    for dtype, bound in ((np.float64, 5e-16), (np.float32, 5e-7)):
        values: Array = x.astype(dtype)
        exact = np.array([math.erf(value) for value in values])
        assert np.abs(kernels.erf(values) - exact).max() <= bound
        share = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])
        assert np.abs(kernels.normal_cdf(values) - share).max() <= bound
        assert kernels.erf(values).dtype == dtype
    left = np.linspace(-30, 0, 301)
    exact = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in left])
    np.testing.assert_allclose(kernels.normal_cdf(left), exact, rtol=3e-13)  # the tail's digits
    assert np.isnan(kernels.erf(np.array([np.nan]))).all()


def test_response_norm_is_the_published_sum_over_neighbours() -> None:
    x = images(0, 2, (3, 2), 7)
    for size in (1, 2, 5, 9):
        y = kernels.response_norm(x, size=size, alpha=0.3, beta=0.6, k=2.0)
        for c in range(7):
            near = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
            base = 2.0 + 0.3 / size * np.square(near).sum(axis=-1)
            np.testing.assert_allclose(y[..., c], x[..., c] * base**-0.6, rtol=1e-12)


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
        assert gradients.dw is not None
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
