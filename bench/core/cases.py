"""What is measured, and the bounds that hold with NumPy alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MOST_COMPILE_S = {"resnet50": 0.5}


@dataclass(frozen=True)
class Case:
    """One network at one batch size; `bound` is the least ratio of PyTorch's time to ours."""

    kind: Literal["inference", "training"]
    network: str
    shape: tuple[int, int, int]
    classes: int
    batch: int
    bound: float | None = None
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


def _inference(network: str, side: int, batches: tuple[int, ...]) -> list[Case]:
    return [
        Case(
            "inference",
            network,
            (side, side, 3),
            1000,
            batch,
            bound=0.6 if batch == 8 else None,
            team_bound=1.6 if (network, batch) == ("resnet18", 8) else None,
            most_bytes=1.2e9 if (network, batch) == ("resnet50", 32) else None,
        )
        for batch in batches
    ]


CASES = (
    *_inference("alexnet", 227, (1, 8, 32)),
    *_inference("vgg16", 224, (1, 8)),
    *_inference("googlenet", 224, (1, 8, 32)),
    *_inference("resnet18", 224, (1, 8, 32)),
    *_inference("resnet50", 224, (1, 8, 32)),
    Case("training", "lenet", (28, 28, 1), 10, 128, 0.3),
    Case("training", "mlp", (28, 28, 1), 10, 128, 1.5, {"hidden": [512, 256]}),
    Case("training", "resnet20", (32, 32, 3), 10, 128, 0.3),
    Case("training", "resnet18", (224, 224, 3), 1000, 16, 0.5, team_bound=1.6),
    Case("training", "alexnet", (227, 227, 3), 1000, 32, 0.5),
    Case("training", "vgg16", (224, 224, 3), 1000, 4, 0.5, within_peers_memory=True),
)
