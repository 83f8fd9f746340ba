"""The kernels of a plan: each equals the plain kernel that layers call, over drawn shapes."""

from dataclasses import dataclass

import numpy as np
import pytest
from convnest_core import Array, Shape, kernels
from convnest_core.kernels import planned
from convnest_core.kernels.planned import (
    Geometry,
    Im2col,
    Kernel,
    Pixels,
    Pooling,
    ResponseNorm,
    Share,
    Weights,
    Winograd,
)
from convnest_core.kernels.planned.finishing import Finish
from convnest_core.kernels.planned.tiles import surrounded, tiles
from hypothesis import given
from hypothesis import strategies as st

# Of the largest value of the result. Winograd's transforms round more: see its module.
PLAIN, WINOGRAD = 1e-6, 2e-5

sizes = st.integers(1, 12)


def some(*shape: int, seed: int = 0) -> Array:
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    array.flags.writeable = False
    return array


def error(got: Array, wanted: Array) -> float:
    return float(np.abs(got - wanted).max() / max(1e-3, float(np.abs(wanted).max())))


def run(kernel: Kernel, x: Array, shape: Shape, residual: Array | None = None) -> Array:
    """The kernel's result, written into a slice of wider pixels between guards."""
    wide = np.full((*shape[:-1], shape[-1] + 2), 7, x.dtype)
    kernel(x, wide[..., 1:-1], residual)
    assert (wide[..., [0, -1]] == 7).all()
    return wide[..., 1:-1]


@given(
    n=st.integers(1, 3),
    size=st.tuples(sizes, sizes),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    channels=st.integers(1, 5),
)
def test_im2col_equals_the_plain_convolution(
    n: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    channels: int,
) -> None:
    x, w, b = some(n, *size, channels), some(*kernel, channels, 3, seed=1), some(3, seed=2)
    if any(s + 2 * p < k for s, k, p in zip(size, kernel, padding, strict=True)):
        return
    wanted = kernels.convolve(x, w, b, stride=stride, padding=padding)
    im2col = Im2col(w.reshape(-1, 3), Geometry(kernel, stride, padding), Finish.of(b, None))
    assert error(run(im2col, x, wanted.shape), wanted) <= PLAIN


@pytest.mark.parametrize("kernel", [3, 5])
@given(
    n=st.integers(1, 4),
    size=st.tuples(st.integers(5, 20), st.integers(5, 20)),
    padding=st.integers(0, 3),
    channels=st.integers(1, 5),
)
def test_winograd_equals_the_plain_convolution_up_to_its_rounding(
    kernel: int, n: int, size: tuple[int, int], padding: int, channels: int
) -> None:
    x, w, b = some(n, *size, channels), some(kernel, kernel, channels, 3, seed=1), some(3, seed=2)
    wanted = kernels.convolve(x, w, b, stride=(1, 1), padding=(padding, padding))
    residual = some(*wanted.shape, seed=3)
    quick = Winograd.of(Weights(w), b, padding=(padding, padding), finish=Finish.of(None, "relu"))
    got = run(quick, x, wanted.shape, residual)
    assert error(got, np.maximum(wanted + residual, 0)) <= WINOGRAD


def test_winograds_rounding_is_bounded_at_the_depth_of_real_layers() -> None:
    x, w = some(1, 14, 14, 512), some(3, 3, 512, 64, seed=1)
    exact = kernels.convolve(
        x.astype(np.float64), w.astype(np.float64), None, stride=(1, 1), padding=(1, 1)
    )
    quick = Winograd.of(Weights(w), None, padding=(1, 1), finish=Finish.of(None, None))
    assert error(run(quick, x, exact.shape), exact) <= WINOGRAD
    assert (
        error(
            run(
                Im2col(w.reshape(-1, 64), Geometry((3, 3), padding=(1, 1)), quick.finish),
                x,
                exact.shape,
            ),
            exact,
        )
        <= PLAIN
    )


@pytest.mark.parametrize("images", [1, 3, 700])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("with_residual", [False, True])
def test_a_product_takes_bias_residual_and_activation(
    images: int, activation: planned.Activation | None, with_residual: bool
) -> None:
    x, w, b = some(images, 6), some(6, 5, seed=1), some(5, seed=2)
    residual = some(images, 5, seed=3) if with_residual else None
    wanted = x @ w + b
    if residual is not None:
        wanted = wanted + residual
    if activation:
        wanted = np.maximum(wanted, 0)
    kernel = planned.linear(Weights(w), b, activation=activation)
    assert error(run(kernel, x, wanted.shape, residual), wanted) <= PLAIN


def test_groups_and_dilation_see_their_own_channels_and_taps() -> None:
    x, w, b = some(2, 9, 8, 6), some(3, 2, 2, 6, seed=1), some(6, seed=2)
    spread = np.zeros((5, 3, 2, 6), np.float32)
    spread[::2, ::2] = w  # dilation 2 is a larger kernel with holes
    wanted = np.concatenate(
        [
            kernels.convolve(
                np.ascontiguousarray(x[..., 2 * g : 2 * g + 2]),
                np.ascontiguousarray(spread[..., 2 * g : 2 * g + 2]),
                b[2 * g : 2 * g + 2],
                stride=(1, 2),
                padding=(2, 1),
            )
            for g in range(3)
        ],
        axis=-1,
    )
    geometry = Geometry((3, 2), (1, 2), (2, 1), (2, 2))
    kernel = planned.convolution(
        Weights(w), b, geometry, activation=None, groups=3, size=wanted.shape[1:3], images=2
    )
    assert error(run(kernel, x, wanted.shape), wanted) <= PLAIN


@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 4),
    padding=st.integers(0, 1),
)
def test_the_largest_of_windows_equals_the_plain_pooling(
    size: tuple[int, int], window: tuple[int, int], stride: int, padding: int
) -> None:
    if 2 * padding > min(window):
        return
    x = some(2, *size, 3) - 5  # all negative: padding must not win
    geometry = Geometry(window, (stride, stride), (padding, padding))
    wanted = _plain_pool(x, geometry)
    assert np.array_equal(run(Pooling(geometry, "largest"), x, wanted.shape), wanted)


def _plain_pool(x: Array, geometry: Geometry) -> Array:
    (top, left), (kh, kw), (sy, sx) = geometry.padding, geometry.kernel, geometry.stride
    around = ((0, 0), (top, top), (left, left), (0, 0))
    padded = np.pad(x, around, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), (1, 2))
    return np.asarray(windows[:, ::sy, ::sx].max(axis=(-1, -2)))


@given(
    top=st.integers(-3, 6),
    left=st.integers(-3, 6),
    rows=st.integers(1, 9),
    across=st.integers(1, 9),
)
def test_what_lies_outside_of_an_image_is_the_edge_value(
    top: int, left: int, rows: int, across: int
) -> None:
    x = some(1, 5, 6, 2)
    padded = np.pad(x, ((0, 0), (3, 15), (3, 15), (0, 0)), constant_values=9)
    wanted = padded[:, top + 3 : top + 3 + rows, left + 3 : left + 3 + across]
    assert np.array_equal(surrounded(x, top=top, left=left, size=(rows, across), value=9), wanted)


@given(
    images=st.integers(1, 9),
    size=st.tuples(sizes, sizes),
    places=st.integers(1, 200),
    members=st.integers(1, 4),
)
def test_tiles_cover_every_place_once(
    images: int, size: tuple[int, int], places: int, members: int
) -> None:
    seen = np.zeros((images, size[0]), int)
    for rank in range(members):
        for tile in tiles(images, size, places=places, share=Share(rank, members)):
            assert tile.images * tile.rows * size[1] <= max(places, size[1]) * 1.5
            seen[tile.first : tile.last, tile.top : tile.bottom] += 1
    assert (seen == 1).all()


@dataclass(frozen=True)
class Case:
    kernel: Kernel
    x: Array
    out: Shape
    residual: Array | None = None


def _convolution(n: int, size: int, weights: Shape, *, groups: int = 1, stride: int = 1) -> Case:
    kernel, *_, filters = weights
    w, b = some(*weights, seed=1), some(filters, seed=2)
    geometry = Geometry((kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))
    x = some(n, size, size, weights[2] * groups)
    out = n, -(-size // stride), -(-size // stride), filters
    return Case(
        planned.convolution(
            Weights(w), b, geometry, activation="relu", groups=groups, size=out[1:3], images=n
        ),
        x,
        out,
        some(*out, seed=3),
    )


SHARED = {
    "winograd by rows": _convolution(1, 40, (3, 3, 32, 32)),
    "winograd by filters": _convolution(1, 15, (3, 3, 32, 96)),
    "winograd of 5": _convolution(2, 9, (5, 5, 16, 48)),
    "im2col by rows": _convolution(1, 23, (3, 3, 5, 7), stride=2),
    "im2col of images and rows": _convolution(4, 23, (3, 3, 5, 7)),
    "im2col by filters": _convolution(1, 5, (3, 3, 16, 128)),
    "product by rows": _convolution(2, 11, (1, 1, 24, 40)),
    "product by filters": _convolution(1, 3, (1, 1, 24, 112)),
    "groups": _convolution(1, 13, (3, 3, 8, 12), groups=2),
    "linear": Case(
        planned.linear(Weights(some(50, 90)), some(90), activation=None), some(1, 50), (1, 90)
    ),
    "a few logits": Case(
        planned.linear(Weights(some(9, 5)), None, activation=None), some(1, 9), (1, 5)
    ),
    "pooling": Case(Pooling(Geometry((3, 3), (2, 2)), "largest"), some(2, 9, 9, 3), (2, 4, 4, 3)),
    "response norm": Case(ResponseNorm(5, 1e-4, 0.75, 1.0), some(1, 5, 7, 6), (1, 5, 7, 6)),
    "pixels": Case(Pixels(some(6), some(6), "relu"), some(1, 5, 7, 6), (1, 5, 7, 6)),
}


@pytest.mark.parametrize("members", [1, 2, 3, 5])
@pytest.mark.parametrize("case", SHARED.values(), ids=SHARED)
def test_shares_write_every_place_once_and_what_the_whole_call_writes(
    case: Case, members: int
) -> None:
    whole = np.empty(case.out, np.float32)
    case.kernel(case.x, whole, case.residual)
    together, times = np.full(case.out, np.nan, np.float32), np.zeros(case.out, int)
    for rank in range(members):
        part = np.full(case.out, np.nan, np.float32)
        case.kernel(case.x, part, case.residual, Share(rank, members))
        written = ~np.isnan(part)
        together[written] = part[written]
        times += written
    assert (times == 1).all()
    assert error(together, whole) <= PLAIN


@pytest.mark.parametrize("case", ["winograd by filters", "im2col by filters", "product by filters"])
def test_members_part_the_filters_where_weights_outweigh_the_image(case: str) -> None:
    part = np.full(SHARED[case].out, np.nan, np.float32)
    SHARED[case].kernel(SHARED[case].x, part, SHARED[case].residual, Share(0, 2))
    first = np.isnan(part).argmax(axis=-1)
    assert (first == first.flat[0]).all()
    assert first.flat[0] in {48, 64}


@given(count=st.integers(0, 99), size=st.integers(1, 9), together=st.integers(1, 20))
def test_shares_are_everything_once_in_order(count: int, size: int, together: int) -> None:
    parts = [Share(rank, size).of(count, together=together) for rank in range(size)]
    assert [i for part in parts for i in range(count)[part]] == list(range(count))
    assert all(part.start % together == 0 or part.start == count for part in parts)
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 2 * together - 1
