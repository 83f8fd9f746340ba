"""Training images, varied: whole batches at once, each image by random numbers of its own.

An image's numbers depend on the seed, the epoch, the sample and the step's place in the list alone
(see `random`), so they are the same however batches are made up, and whoever draws them. Images are
float32 [N, H, W, C] in [0, 1] and stay so; they are augmented before they are normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import pi
from typing import Any, TypeAlias

import numpy as np

from .arrays import Array, Integers
from .random import stream_key, uniform
from .recipe import Kind, Setting


@dataclass(frozen=True, eq=False)
class Colours:
    """What some augmentations need to know of the training images."""

    mean: Array
    """[C], in [0, 1]"""
    axes: Array
    """[C, C]: the principal axes of pixels, each times the deviation along it, as columns"""

    @staticmethod
    def of(mean: Array, covariance: Array) -> Colours:
        """From the pixels' mean [C] and covariance [C, C]."""
        variances, axes = np.linalg.eigh(covariance.astype(np.float64))
        scaled = axes * np.sqrt(np.maximum(variances, 0.0))
        return Colours(mean.astype(np.float32), scaled.astype(np.float32))


# (images, uniform numbers [N, numbers], the settings, colours) → images
_Vary: TypeAlias = Callable[[Array, Array, Mapping[str, Any], Colours], Array]


def _crop(x: Array, u: Array, settings: Mapping[str, Any], _colours: Colours) -> Array:
    n, height, width, channels = x.shape
    margin = int(settings["padding"])
    padded = np.zeros((n, height + 2 * margin, width + 2 * margin, channels), x.dtype)
    padded[:, margin : margin + height, margin : margin + width] = x
    top, left = (u * (2 * margin + 1)).astype(np.int64).T
    rows = top[:, None, None] + np.arange(height)[:, None]
    columns = left[:, None, None] + np.arange(width)
    cropped: Array = padded[np.arange(n)[:, None, None], rows, columns]
    return cropped


def _flip(x: Array, u: Array, settings: Mapping[str, Any], _colours: Colours) -> Array:
    mirrored = u[:, 0] < settings["probability"]
    y = x.copy()
    y[mirrored] = x[mirrored, :, ::-1]
    return y


def _resized_crop(x: Array, u: Array, settings: Mapping[str, Any], _colours: Colours) -> Array:
    _, height, width, _ = x.shape
    area = settings["least_area"] + (1.0 - settings["least_area"]) * u[:, 0]
    stretch = np.exp((2.0 * u[:, 1] - 1.0) * np.log(settings["most_stretch"]))
    tall = np.minimum(np.sqrt(area / stretch), 1.0) * height
    wide = np.minimum(np.sqrt(area * stretch), 1.0) * width
    top, left = u[:, 2] * (height - tall), u[:, 3] * (width - wide)
    # Pixel centres of the result, spread evenly over the box.
    rows = top[:, None] + (np.arange(height) + 0.5) * (tall / height)[:, None] - 0.5
    columns = left[:, None] + (np.arange(width) + 0.5) * (wide / width)[:, None] - 0.5
    rows = np.clip(rows, 0, height - 1)
    columns = np.clip(columns, 0, width - 1)
    return _sampled(x, rows[:, :, None], columns[:, None, :])


def _rotate(x: Array, u: Array, settings: Mapping[str, Any], _colours: Colours) -> Array:
    _, height, width, _ = x.shape
    angle = (2.0 * u[:, 0] - 1.0) * (settings["degrees"] * pi / 180.0)
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    y = np.arange(height)[:, None] - (height - 1) / 2
    x_ = np.arange(width) - (width - 1) / 2
    rows = cos * y + sin * x_ + (height - 1) / 2
    columns = cos * x_ - sin * y + (width - 1) / 2
    return _sampled(x, rows, columns)


def _sampled(x: Array, rows: Array, columns: Array) -> Array:
    """Bilinear: the images at places [N, H', W'] that broadcast together; black outside."""
    n, height, width, channels = x.shape
    rows, columns = np.broadcast_arrays(rows, columns)
    # A black border of one pixel is what everything outside comes to.
    bordered = np.zeros((n, height + 2, width + 2, channels), x.dtype)
    bordered[:, 1:-1, 1:-1] = x
    rows = np.clip(rows + 1, 0, height + 1)
    columns = np.clip(columns + 1, 0, width + 1)
    top = np.minimum(rows.astype(np.int64), height)
    left = np.minimum(columns.astype(np.int64), width)
    below = (rows - top).astype(x.dtype)[..., None]
    right = (columns - left).astype(x.dtype)[..., None]
    image = np.arange(n)[:, None, None]
    upper = bordered[image, top, left] * (1 - right) + bordered[image, top, left + 1] * right
    lower = (
        bordered[image, top + 1, left] * (1 - right) + bordered[image, top + 1, left + 1] * right
    )
    sampled: Array = upper * (1 - below) + lower * below
    return sampled


def _jitter(x: Array, u: Array, settings: Mapping[str, Any], _colours: Colours) -> Array:
    factors = [
        (1.0 + (2.0 * u[:, i] - 1.0) * settings[name]).astype(x.dtype)[:, None, None, None]
        for i, name in enumerate(("brightness", "contrast", "saturation"))
    ]
    y = np.clip(x * factors[0], 0, 1)
    mean = y.mean(axis=(1, 2, 3), keepdims=True)
    y = np.clip(mean + (y - mean) * factors[1], 0, 1)
    grey = y.mean(axis=3, keepdims=True)
    jittered: Array = np.clip(grey + (y - grey) * factors[2], 0, 1)
    return jittered


def _lighting(x: Array, u: Array, settings: Mapping[str, Any], colours: Colours) -> Array:
    channels = x.shape[3]
    radius = np.sqrt(-2.0 * np.log(1.0 - u[:, :channels]))  # Box and Muller 1958
    normal = radius * np.cos(2.0 * pi * u[:, 3 : 3 + channels])
    shift = (settings["deviation"] * normal) @ colours.axes.T
    lit: Array = np.clip(x + shift.astype(x.dtype)[:, None, None, :], 0, 1)
    return lit


def _cutout(x: Array, u: Array, settings: Mapping[str, Any], colours: Colours) -> Array:
    _, height, width, _ = x.shape
    size = int(settings["size"])
    top, left = ((u * (height, width)).astype(np.int64) - size // 2).T
    rows, columns = np.arange(height), np.arange(width)
    inside_rows = (rows >= top[:, None]) & (rows < top[:, None] + size)
    inside_columns = (columns >= left[:, None]) & (columns < left[:, None] + size)
    hole = inside_rows[:, :, None, None] & inside_columns[:, None, :, None]
    return np.where(hole, colours.mean, x)


@dataclass(frozen=True)
class _Way:
    vary: _Vary
    numbers: int


_WAYS = {
    "crop": _Way(_crop, 2),
    "flip": _Way(_flip, 1),
    "resized_crop": _Way(_resized_crop, 4),
    "rotate": _Way(_rotate, 1),
    "jitter": _Way(_jitter, 3),
    "lighting": _Way(_lighting, 6),
    "cutout": _Way(_cutout, 2),
}


def _strength(doc: str, default: float) -> Setting:
    return Setting(doc, default, 0, 1)


AUGMENTATIONS: Mapping[str, Kind] = {
    "crop": Kind(
        "a crop of the image's own size after padding it with black",
        {"padding": Setting("pixels on every side", 4, 1, 64, whole=True)},
    ),
    "flip": Kind("mirrored left to right", {"probability": _strength("share of the images", 0.5)}),
    "resized_crop": Kind(
        "a part of the image, brought back to its size (Szegedy et al. 2014)",
        {
            "least_area": Setting("the smallest part's share of the image", 0.35, 0, 1, above=True),
            "most_stretch": Setting("the largest change of the aspect ratio", 4 / 3, 1, 4),
        },
    ),
    "rotate": Kind("turned about its centre", {"degrees": Setting("at most", 10, 0, 180)}),
    "jitter": Kind(
        "brightness, contrast and saturation, each by a factor within 1 ± its strength",
        {
            "brightness": _strength("strength", 0.2),
            "contrast": _strength("strength", 0.2),
            "saturation": _strength("strength", 0.2),
        },
    ),
    "lighting": Kind(
        "shifts along the principal axes of the training images' colours (Krizhevsky et al. 2012)",
        {"deviation": _strength("of the shift, in deviations of the colours", 0.1)},
    ),
    "cutout": Kind(
        "a square of the mean colour put anywhere (DeVries, Taylor 2017)",
        {"size": Setting("pixels along a side", 8, 1, 1024, whole=True)},
    ),
    "mixup": Kind(
        "every image and its label mixed with another's of the batch (Zhang et al. 2017)",
        {"alpha": Setting("of the Beta distribution of shares", 0.2, 0, 100, above=True)},
    ),
}


def augmented(
    x: Array,
    steps: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    epoch: int,
    samples: Integers,
    colours: Colours,
) -> Array:
    """The images after all steps but mixup, in order; x [N, H, W, C] is only read.

    `steps` are complete (see `recipe.complete`), `samples` [N] the images' places in the dataset.
    """
    for place, step in enumerate(steps):
        way = _WAYS.get(step["name"])
        if way is None:
            continue
        name = f"augment/{place}/{step['name']}"
        u = uniform(name, seed=seed, epoch=epoch, samples=samples, count=way.numbers)
        x = way.vary(x, u.astype(np.float64), step, colours).astype(x.dtype, copy=False)
    return x


def mixed(
    x: Array,
    labels: Integers,
    steps: Sequence[Mapping[str, Any]],
    *,
    classes: int,
    seed: int,
    epoch: int,
    samples: Integers,
) -> tuple[Array, Array] | None:
    """A batch and its labels' distributions [N, classes] after mixup; None where it is no step.

    x' = λ·x + (1-λ)·x[p] with one λ ~ Beta(α, α) and one permutation p of the batch; labels too.
    """
    alpha = next((step["alpha"] for step in steps if step["name"] == "mixup"), None)
    if alpha is None:
        return None
    # Drawn for the batch as a whole, which its first sample stands for.
    low, high = stream_key(seed, f"mixup/{epoch}/{int(samples[0])}")
    draw = np.random.Generator(np.random.Philox(key=low | high << 32))
    share = x.dtype.type(draw.beta(alpha, alpha))
    partner = draw.permutation(len(x))
    unit = np.eye(classes, dtype=x.dtype)[labels]
    return share * x + (1 - share) * x[partner], share * unit + (1 - share) * unit[partner]
