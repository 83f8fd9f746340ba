"""What was measured: a row a case, as a table and as data, and which bounds were missed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from cases import Bounds, Case
from convnest_core.tables import table

OURS, ALONE = "ConvNest", "one process"
PEERS = ("PyTorch", "PyTorch NHWC", "ONNX Runtime")
_TORCH = PEERS[:2]


@dataclass(frozen=True)
class Result:
    """Seconds a step by side, a list of turns each; and the most memory each side held."""

    case: Case
    bounds: Bounds
    seconds: dict[str, list[float]]
    peak_bytes: dict[str, int]
    others: float  # the share of the cores that other programs took

    def ratio(self, side: str) -> float:
        """How many times our time that side takes: the median over the pairs of turns."""
        pairs = zip(self.seconds[side], self.seconds[OURS], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def range(self, side: str) -> tuple[float, float]:
        """The smallest and the largest ratio of a pair of turns."""
        pairs = zip(self.seconds[side], self.seconds[OURS], strict=True)
        ratios = [theirs / ours for theirs, ours in pairs]
        return min(ratios), max(ratios)

    @property
    def spread(self) -> float:
        """Of our turns: (largest - smallest) / median."""
        ours = self.seconds[OURS]
        return (max(ours) - min(ours)) / statistics.median(ours)

    @property
    def torch(self) -> float | None:
        """The ratio to PyTorch's better layout."""
        better = self.better_torch
        return None if better is None else self.ratio(better)

    @property
    def better_torch(self) -> str | None:
        """PyTorch's better layout."""
        return min((side for side in _TORCH if side in self.seconds), key=self.ratio, default=None)

    def missed(self) -> list[str]:
        """Which of the case's bounds do not hold, in words."""
        case, missed = self.case, []
        onnx = self.ratio(PEERS[2]) if PEERS[2] in self.seconds else None
        for peer, ratio, bound in (
            ("PyTorch", self.torch, self.bounds.torch),
            (PEERS[2], onnx, self.bounds.onnx),
        ):
            if bound is not None and ratio is not None and ratio < bound:
                missed.append(f"{case.name}: {ratio:.2f} of {peer}, bound {bound}")
        if case.team_bound is not None and ALONE in self.seconds:
            gain = self.ratio(ALONE)
            if gain < case.team_bound:
                missed.append(
                    f"{case.name}: two processes gain {gain:.2f}, bound {case.team_bound}"
                )
        peak = self.peak_bytes[OURS]
        if case.most_bytes is not None and peak > case.most_bytes:
            missed.append(f"{case.name}: {peak / 1e9:.2f} GB, bound {case.most_bytes / 1e9:.2f} GB")
        peers = [self.peak_bytes[side] for side in _TORCH if side in self.peak_bytes]
        if case.within_peers_memory and peers and peak > min(peers):
            missed.append(f"{case.name}: {peak / 1e9:.2f} GB, PyTorch {min(peers) / 1e9:.2f} GB")
        return missed

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {
            **self.case.data(),
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "others": self.others,
            "ratios": {side: self.ratio(side) for side in self.seconds if side != OURS},
            "ranges": {side: self.range(side) for side in self.seconds if side != OURS},
            "missed": self.missed(),
        }


def text(results: list[Result]) -> str:
    """Times as peer ÷ ours (above 1, ours is quicker), with the smallest and largest of a pair."""
    head = [
        "case",
        "ms",
        "±",
        "images/s",
        "PyTorch",
        "ONNX Runtime",
        "2 ÷ 1",
        "GB",
        "peers' GB",
        "others",
    ]
    rows = [head]
    for result in results:
        ours = statistics.median(result.seconds[OURS])
        peers = [result.peak_bytes[side] for side in PEERS if side in result.peak_bytes]
        rows.append(
            [
                result.case.name,
                f"{ours * 1e3:.1f}",
                f"{result.spread * 50:.0f} %",
                f"{result.case.batch / ours:,.0f}",
                _ratio(result, result.better_torch),
                _ratio(result, PEERS[2]),
                _ratio(result, ALONE),
                f"{result.peak_bytes[OURS] / 1e9:.2f}",
                " / ".join(f"{peak / 1e9:.2f}" for peak in peers),
                f"{result.others:.0%}",
            ]
        )
    return table(rows, align="<" + ">" * (len(head) - 1))


def _ratio(result: Result, side: str | None) -> str:
    """The median of the pairs, and from where to where they go."""
    if side not in result.seconds:
        return ""
    least, most = result.range(side)
    return f"{result.ratio(side):.2f} ({least:.2f}–{most:.2f})"
