"""Whatever its geometry, a convolution's generated kernels compute what NumPy's do."""

from typing import Any

import numpy as np
from convnest_core.kernels import plain
from convnest_core.kernels.simd import functions
from convnest_core.kernels.windows import slid
from hypothesis import assume, given, settings
from hypothesis import strategies as st

# Winograd's rounding; what else computes is closer, as its own tests say.
TOLERANCE = 2e-5


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


def close(found: Any, expected: Any) -> None:
    largest = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * largest)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_every_geometry_and_its_gradients(data: st.DataObject) -> None:
    kernel, stride, padding = data.draw(pairs(1, 5)), data.draw(pairs(1, 3)), data.draw(pairs(0, 3))
    dilation = data.draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)]))
    groups = data.draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = data.draw(pairs(1, 20))
    size, images = data.draw(pairs(1, 12)), data.draw(st.integers(1, 3))
    geometry: Any = {"stride": stride, "padding": padding, "dilation": dilation}
    height, width = slid(size, kernel=kernel, **geometry)
    assume(height > 0 and width > 0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, *size, inputs * groups), np.float32)
    w = rng.standard_normal((*kernel, inputs, outputs * groups), np.float32)
    b = rng.standard_normal(outputs * groups, np.float32)
    dy = rng.standard_normal((images, height, width, outputs * groups), np.float32)
    geometry["groups"] = groups
    for rectify in (False, True):
        y = plain.convolve(x, w, b, **geometry, rectify=rectify)
        close(functions.convolve(x, w, b, **geometry, rectify=rectify), y)
    wanted: Any = {"bias": True, "input_gradient": True, "weight_gradient": True, **geometry}
    found = functions.convolve_backward(x, w, dy, **wanted)
    expected = plain.convolve_backward(x, w, dy, **wanted)
    for one, other in zip(found, expected, strict=True):
        close(one, other)
