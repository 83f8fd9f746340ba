"""Generated matrix products: each equals NumPy's in float64, however its factors lie in memory."""

import numpy as np
import pytest
from convnest_core import Array, Shape, ShapeError
from convnest_core.arrays import Pair
from convnest_core.kernels.planned import Geometry, Share, Weights
from convnest_core.kernels.simd.machine import machine
from hypothesis import given, settings
from hypothesis import strategies as st

if machine() is None:
    pytest.skip("no CPU or no Numba for generated kernels", allow_module_level=True)

from convnest_core.kernels.simd import planned, pointwise, products
from convnest_core.kernels.simd.packing import packed, padded

BOUND = 1e-6  # of the sum of the terms' absolute values: what rounding is bound by

some = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 99)
rows = st.integers(1, 60)
depths = st.one_of(st.integers(1, 70), st.sampled_from([512, 513, 1024, 1100]))
filters = st.one_of(st.integers(1, 70), st.sampled_from([96, 100, 128]))


def matrix(rng: np.random.Generator, rows: int, columns: int, lies: str) -> Array:
    """Random values: by rows, by columns, as a part of wider rows, or neither way together."""
    room = rng.standard_normal((2 * max(rows, 1), 2 * columns + 3)).astype(np.float32)
    match lies:
        case "rows":
            return np.ascontiguousarray(room[:rows, :columns])
        case "columns":
            return np.asfortranarray(room[:rows, :columns])
        case "slice":
            return room[:rows, 2 : 2 + columns]
        case _:
            return room[: 2 * rows : 2, : 2 * columns : 2]


lying = st.sampled_from(["rows", "columns", "slice", "apart"])


def expect(y: Array, x: Array, w: Array, *added: Array | None, rectified: bool = False) -> None:
    wide, terms = x.astype(np.float64) @ w, np.abs(x).astype(np.float64) @ np.abs(w)
    for one in added:
        if one is not None:
            wide, terms = wide + one, terms + np.abs(one)
    if rectified:
        wide = np.maximum(wide, 0)
    assert float((np.abs(y - wide) / np.maximum(terms, 1e-3)).max()) <= BOUND


@some
@given(m=rows, k=depths, n=filters, x_lies=lying, w_lies=lying, biased=st.booleans(), seed=seeds)
def test_a_product_equals_numpys(
    m: int, k: int, n: int, x_lies: str, w_lies: str, biased: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, w = matrix(rng, m, k, x_lies), matrix(rng, k, n, w_lies)
    b = rng.standard_normal(n).astype(np.float32) if biased else None
    y = np.full((m, n), 7, np.float32)
    products.product(x, w, y, bias=b)
    expect(y, x, w, b)


@some
@given(m=rows, k=depths, n=filters, x_lies=lying, seed=seeds)
def test_a_product_is_added_to_a_total(m: int, k: int, n: int, x_lies: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w, total = matrix(rng, m, k, x_lies), matrix(rng, k, n, "rows"), matrix(rng, m, n, "rows")
    before = total.copy()
    products.product(x, w, total, residual=total)
    expect(total, x, w, before)


@some
@given(m=rows, k=depths, n=filters, biased=st.booleans(), residual=st.booleans(), seed=seeds)
def test_packed_weights_write_into_slices_of_wider_rows(
    m: int, k: int, n: int, biased: bool, residual: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, w = matrix(rng, m, k, "slice"), matrix(rng, k, n, "rows")
    b = rng.standard_normal(n).astype(np.float32) if biased else None
    r = matrix(rng, m, n, "slice") if residual else None
    room = np.full((m, n + 5), 7, np.float32)
    y = room[:, 3 : 3 + n]
    ready = None if b is None else padded(b)
    products.product(x, packed(w), y, bias=ready, residual=r, rectified=True)
    expect(y, x, w, b, r, rectified=True)
    assert (room[:, :3] == 7).all()
    assert (room[:, 3 + n :] == 7).all()


def test_rows_that_share_a_cache_set_are_copied_first() -> None:
    rng = np.random.default_rng(1)
    for x in (matrix(rng, 300, 1024, "rows"), matrix(rng, 600, 1024, "rows").T):
        w = matrix(rng, x.shape[1], 40, "rows")
        expect(products.multiply(x, w), x, w)


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("m", [1, 20, 400])
def test_the_interface_takes_all_sizes(m: int, n: int) -> None:
    rng = np.random.default_rng(2)
    x, w, b = (
        matrix(rng, m, 70, "rows"),
        matrix(rng, 70, n, "columns"),
        matrix(rng, 1, n, "rows")[0],
    )
    expect(products.multiply(x, w, b), x, w, b)
    out, total = np.empty((m, n), np.float32), np.ones((m, n), np.float32)
    assert products.multiply(x, w, b, out=out) is out
    expect(out, x, w, b)
    products.add_product(total, x, w)
    expect(total, x, w, np.ones((m, n), np.float32))


def test_nan_passes_a_rectified_product() -> None:
    x, w = np.full((3, 2), np.nan, np.float32), np.ones((2, 5), np.float32)
    y = np.zeros((3, 5), np.float32)
    products.product(x, w, y, rectified=True)
    assert np.isnan(y).all()


@pytest.mark.parametrize(
    ("x", "w", "y"),
    [
        ((3, 4), (5, 6), (3, 6)),
        ((3, 4), (4, 6), (3, 5)),
        ((3, 4), (4, 6), (2, 6)),
        ((3, 0), (0, 6), (3, 6)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    x: tuple[int, int], w: tuple[int, int], y: tuple[int, int]
) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in (x, w, y)]
    with pytest.raises(ShapeError):
        products.product(*arrays)


images = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


@some
@given(shape=images, filters=st.integers(1, 70), stride=strides, seed=seeds)
def test_a_convolution_of_single_pixels_equals_numpys(
    shape: Shape, filters: int, stride: Pair, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(np.float32)
    w = rng.standard_normal((1, 1, shape[3], filters)).astype(np.float32)
    b = rng.standard_normal(filters).astype(np.float32)
    seen = x[:, :: stride[0], :: stride[1]]
    y = pointwise.convolve(x, w, b, stride=stride)
    assert y.shape == (*seen.shape[:3], filters)
    expect(pixels(y), pixels(seen), w[0, 0], b)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = pointwise.input_gradient(dy, w, size=(shape[1], shape[2]), stride=stride)
    expect(pixels(dx[:, :: stride[0], :: stride[1]]), pixels(dy), w[0, 0].T)
    assert dx.shape == x.shape
    assert np.count_nonzero(dx) <= seen.size
    dw, db = pointwise.weight_gradient(x, dy, stride=stride, bias=True)
    expect(dw[0, 0], pixels(seen).T, pixels(dy))
    assert db is not None
    expect(db[None], np.ones((1, len(pixels(dy))), np.float32), pixels(dy))


@some
@given(
    shape=images,
    filters=st.integers(1, 140),
    stride=strides,
    members=st.integers(1, 3),
    residual=st.booleans(),
    seed=seeds,
)
def test_the_shares_of_a_planned_product_make_it_all(
    shape: Shape, filters: int, stride: Pair, members: int, residual: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*shape[:3], shape[3] + 3)).astype(np.float32)[..., 2:-1]
    w = rng.standard_normal((1, 1, shape[3], filters)).astype(np.float32)
    b = rng.standard_normal(filters).astype(np.float32)
    scale = rng.standard_normal(filters).astype(np.float32)
    seen = x[:, :: stride[0], :: stride[1]]
    room = np.full((*seen.shape[:3], filters + 5), 7, np.float32)
    r = np.asarray(rng.standard_normal(room.shape), np.float32)[..., 1:-4] if residual else None
    kernel = planned.convolution(
        Weights(w, scale), b, Geometry((1, 1), stride), activation="relu", size=(9, 9)
    )
    assert kernel is not None
    assert kernel.algorithm.startswith("product")
    for rank in range(members):
        kernel(x, room[..., 3:-2], r, Share(rank, members))
    added = None if r is None else pixels(r)
    expect(pixels(room[..., 3:-2]), pixels(seen), w[0, 0] * scale, b, added, rectified=True)
    assert (room[..., :3] == 7).all()
    assert (room[..., -2:] == 7).all()


@pytest.mark.parametrize(
    ("pixels", "depth", "filters"),
    [(49, 2048, 512), (196, 256, 1024), (784, 512, 128), (3136, 64, 256), (1, 2048, 1000)],
)
def test_two_members_have_about_the_same_work(pixels: int, depth: int, filters: int) -> None:
    kernel = planned.linear(Weights(np.zeros((depth, filters), np.float32)), None, activation=None)
    done = []
    for rank in range(2):
        out = np.ones((pixels, filters), np.float32)
        kernel(np.zeros((pixels, depth), np.float32), out, None, Share(rank, 2))
        done.append(np.count_nonzero(out == 0))
    assert sum(done) == pixels * filters
    assert max(done) <= 1.05 * min(done)


def pixels(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
