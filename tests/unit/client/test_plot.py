from __future__ import annotations

from pathlib import Path

import pytest
from convnest import ConvNestError, EpochMetrics
from convnest.plot import save_learning_curve
from PIL import Image


def metrics(epoch: int) -> EpochMetrics:
    return EpochMetrics(
        epoch, 1 / epoch, 1 - 0.3 / epoch, 0.8 / epoch, 1 - 0.2 / epoch, 2.0, 1.0, 0.1
    )


@pytest.mark.parametrize("epochs", [[1], [1, 2, 3], [1, 2, 3, 2, 3, 4], list(range(1, 60))])
def test_a_curve_is_drawn_as_png(tmp_path: Path, epochs: list[int]) -> None:
    path = tmp_path / "curve.png"
    save_learning_curve([metrics(epoch) for epoch in epochs], path, title="lenet on digits")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (1600, 704)


def test_without_an_epoch_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ConvNestError, match="no finished epoch"):
        save_learning_curve([], tmp_path / "curve.png", title="")
