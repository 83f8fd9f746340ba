"""Local response normalisation (Krizhevsky, Sutskever, Hinton 2012, section 3.3)."""

from __future__ import annotations

from convnest_core import kernels
from convnest_core.arrays import Array, Backward, DType, Shape
from convnest_core.building import Initialiser
from convnest_core.checks import integer, number, positive
from convnest_core.errors import ShapeError
from convnest_core.module import Module
from convnest_core.run import Run


class LocalResponseNorm(Module):
    """y = x / (k + α/n · Σ x²)ᵝ, the sum over n neighbouring channels of the same pixel.

    α is divided by n = `size`, as PyTorch and Caffe do. The paper's formula does not divide: its
    α = 1e-4 over five channels, with k = 2, is `alpha=5e-4, k=2` here.
    """

    kind = "lrn"

    def __init__(
        self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        self.size = integer("size", size, least=1, most=1024)
        self.alpha = number("alpha", alpha, least=0, below=1e4)
        self.beta = number("beta", beta, least=0, below=100)
        self.k = positive("k", k, below=1e4)

    def build(self, shape: Shape, rng: Initialiser, dtype: DType) -> Shape:  # noqa: ARG002
        if len(shape) != 3:
            message = f"takes images (height, width, channels), got {len(shape)} dimension(s)"
            raise ShapeError(message)
        return shape

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward]:  # noqa: ARG002
        self.expect(x)
        y = kernels.response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)

        def backward(dy: Array) -> Array:
            return kernels.response_norm_backward(
                x, dy, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k
            )

        return y, backward
