"""The fully connected layer's products, in the forms that suit few and many rows."""

import numpy as np
import pytest
from convnest_core import Linear, Run, build


@pytest.mark.parametrize("images", [1, 4, 5, 20])
def test_the_input_gradient_is_the_same_for_few_rows_and_many(images: int) -> None:
    module = Linear(8)
    build(module, (6,), seed=0, dtype=np.float64)
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((images, 6)), rng.standard_normal((images, 8))
    _, backward = module.forward(x, Run(training=True, samples=np.arange(images)))
    dx = backward(dy)
    expected = np.einsum("no,io->ni", dy, module.parameters()["weight"].value)
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-14)
    assert dx.flags.c_contiguous
