"""What is measured, and the bounds that hold with either set of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MOST_COMPILE_S = {"resnet50": 0.5}

Kernels = Literal["numpy", "simd"]


@dataclass(frozen=True)
class Bounds:
    """The least ratios of a peer's time to ours."""

    torch: float | None = None
    onnx: float | None = None


NONE = Bounds()


@dataclass(frozen=True)
class Case:
    """One network at one batch size."""

    kind: Literal["inference", "training"]
    network: str
    shape: tuple[int, int, int]
    classes: int
    batch: int
    bounds: Mapping[Kernels, Bounds]
    avx2: Bounds = NONE  # with simd kernels, where nobody may use more than AVX2
    options: dict[str, Any] = field(default_factory=dict)
    team_bound: float | None = None  # of one process's time to two processes'
    most_bytes: float | None = None  # of ours
    within_peers_memory: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind} {self.network} b{self.batch}"

    def data(self) -> dict[str, Any]:
        """For the processes that run it."""
        return asdict(self)


def _inference(network: str, side: int, onnx: Mapping[int, float]) -> list[Case]:
    """A case for each batch size; `onnx` are its bounds with simd kernels."""
    return [
        Case(
            "inference",
            network,
            (side, side, 3),
            1000,
            batch,
            {
                "numpy": Bounds(torch=0.6 if batch == 8 else None),
                "simd": Bounds(torch=1.0, onnx=bound),
            },
            avx2=Bounds(torch=1.0) if (network, batch) == ("resnet18", 8) else NONE,
            team_bound=1.6 if (network, batch) == ("resnet18", 8) else None,
            most_bytes=1.2e9 if (network, batch) == ("resnet50", 32) else None,
        )
        for batch, bound in onnx.items()
    ]


def _training(
    network: str,
    shape: tuple[int, int, int],
    batch: int,
    *,
    numpy: float,
    simd: float,
    **more: Any,  # Any: the other fields of a case
) -> Case:
    classes = 1000 if shape[0] > 200 else 10
    bounds: dict[Kernels, Bounds] = {"numpy": Bounds(torch=numpy), "simd": Bounds(torch=simd)}
    return Case("training", network, shape, classes, batch, bounds, **more)


CASES = (
    *_inference("alexnet", 227, {1: 1.3, 8: 1.5, 32: 1.5}),
    *_inference("vgg16", 224, {1: 1.3, 8: 1.7}),
    *_inference("googlenet", 224, {1: 1.0, 8: 1.15, 32: 1.15}),
    *_inference("resnet18", 224, {1: 1.1, 8: 1.3, 32: 1.3}),
    *_inference("resnet50", 224, {1: 1.0, 8: 1.15, 32: 1.15}),
    _training("lenet", (28, 28, 1), 128, numpy=0.3, simd=2.5, avx2=Bounds(torch=1.0)),
    _training("mlp", (28, 28, 1), 128, numpy=1.5, simd=1.7, options={"hidden": [512, 256]}),
    _training("resnet20", (32, 32, 3), 128, numpy=0.3, simd=1.25),
    _training("resnet18", (224, 224, 3), 16, numpy=0.5, simd=1.3, team_bound=1.6),
    _training("alexnet", (227, 227, 3), 32, numpy=0.5, simd=1.5),
    _training("vgg16", (224, 224, 3), 4, numpy=0.5, simd=1.7, within_peers_memory=True),
)
