"""Looking into a network: what its layers make of an image, and what its answer rests on.

Images are [N, H, W, C]; a score is the network's output for a class, before the softmax. What is
returned are arrays, and grids of them as pictures; drawing is the caller's affair. The network is
left as it is, its gradients too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .arrays import Array, Backward, Integers, shown
from .errors import CoreError, ShapeError
from .module import Module
from .run import EVALUATION, Run
from .suggestions import suggestion

__all__ = [
    "Picture",
    "activation_grid",
    "features",
    "filter_grid",
    "grad_cam",
    "occlusion",
    "saliency",
]

Picture = npt.NDArray[np.uint8]  # [height, width, 1 or 3]

_BACKGROUND = 255
_GAP = 1  # pixels between the tiles of a grid
_BATCH = 32  # images at a time where one image becomes many


def features(module: Module, x: Array, layer: str) -> Array:
    """What `layer` (its path, such as "features.3") gives for x; its last use, if it has several.

    Raises CoreError where there is no such layer.
    """
    watched = _Watched.of(module, layer)
    watched.module.forward(x, EVALUATION)
    return watched.outputs[-1]


def saliency(module: Module, x: Array, classes: Integers | None = None) -> Array:
    """How much each pixel moves the score: max over channels of |dS/dx| [N, H, W].

    For the class with the highest score, or for `classes` [N] (Simonyan, Vedaldi, Zisserman 2013).
    """
    watched = _Watched.of(module, "")
    scores, backward = watched.module.forward(x, EVALUATION)
    gradient = np.abs(backward(_chosen(scores, classes)))
    return np.asarray(gradient.max(axis=-1))


def grad_cam(module: Module, x: Array, layer: str, classes: Integers | None = None) -> Array:
    """Where `layer`, best the last convolution, sees the class: [N, h, w], not negative.

    max(0, Σₖ αₖ·Aₖ) over the layer's maps A, αₖ the mean of dS/dAₖ over the map (Selvaraju et al.
    2017). The map has the layer's size; enlarge it to lay it over the image.
    """
    watched = _Watched.of(module, layer)
    scores, backward = watched.module.forward(x, EVALUATION)
    maps = watched.outputs[-1]
    if maps.ndim != 4:
        raise ShapeError(
            f"Grad-CAM needs maps (height, width, channels), got {shown(maps.shape[1:])}",
            path=layer,
        )
    backward(_chosen(scores, classes))
    weights = watched.gradients[0].mean(axis=(1, 2), keepdims=True)
    return np.asarray(np.maximum((maps * weights).sum(axis=-1), 0))


def occlusion(
    answer: Callable[[Array], Array],
    x: Array,
    classes: Integers | None = None,
    *,
    size: int,
    stride: int = 1,
    value: float = 0.0,
) -> Array:
    """The class' score with a square of the image covered by `value`: [N, H', W'], by its place.

    `answer` is a module or a plan (of 32 images or more). The square of `size` × `size` moves by
    `stride` from the upper left; a low score is where the evidence is (Zeiler, Fergus 2014).
    """
    n, height, width, _ = x.shape
    if not 1 <= size <= min(height, width) or stride < 1:
        raise CoreError(
            f"the square must be 1 to {min(height, width)} pixels wide and move by 1 or more, "
            f"got size {size}, stride {stride}"
        )
    rows, columns = (range(0, extent - size + 1, stride) for extent in (height, width))
    places = [(top, left) for top in rows for left in columns]
    results = np.empty((n, len(places)), x.dtype)
    for index, image in enumerate(x):
        label = int(_labels(answer(image[None]), None if classes is None else classes[[index]])[0])
        for first in range(0, len(places), _BATCH):
            some = places[first : first + _BATCH]
            covered = np.repeat(image[None], len(some), axis=0)
            for one, (top, left) in zip(covered, some, strict=True):
                one[top : top + size, left : left + size] = value
            results[index, first : first + len(some)] = answer(covered)[:, label]
    return results.reshape(n, len(rows), len(columns))


def filter_grid(module: Module) -> Picture:
    """The filters of the first convolution, each stretched to 0 … 255, side by side.

    Raises CoreError where no convolution looks at 1 or 3 channels.
    """
    for parameter in module.parameters().values():
        if parameter.value.ndim == 4 and parameter.value.shape[2] in (1, 3):
            return _grid(np.moveaxis(parameter.value, 3, 0))
    raise CoreError("the network has no convolution over 1 or 3 channels, whose filters are images")


def activation_grid(maps: Array) -> Picture:
    """The maps [H, W, C] that a layer makes of one image, each stretched to 0 … 255, side by side.

    `maps` is one image of what `features` returns.
    """
    if maps.ndim != 3:
        raise ShapeError(f"maps are (height, width, channels), got {shown(maps.shape)}")
    return _grid(np.moveaxis(maps, 2, 0)[..., None])


def _grid(tiles: Array) -> Picture:
    """Tiles [K, h, w, c] in a grid that is about as wide as it is high."""
    count, height, width, channels = tiles.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    size = down * (height + _GAP) - _GAP, across * (width + _GAP) - _GAP, channels
    picture = np.full(size, _BACKGROUND, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // across * (height + _GAP), index % across * (width + _GAP)
        least, span = tile.min(), float(np.ptp(tile))
        stretched = (tile - least) * (255.0 / span) if span else np.zeros_like(tile)
        picture[top : top + height, left : left + width] = np.rint(stretched)
    return picture


def _labels(scores: Array, classes: Integers | None) -> npt.NDArray[np.integer]:
    if scores.ndim != 2:
        raise ShapeError(f"a network's scores are one a class, got {shown(scores.shape[1:])}")
    if classes is None:
        return np.asarray(scores.argmax(axis=1))
    given = np.asarray(classes)
    n, count = scores.shape
    if (
        given.shape != (n,)
        or given.dtype.kind not in "iu"
        or ((given < 0) | (given >= count)).any()
    ):
        raise CoreError(f"classes must be {n} integers from 0 to {count - 1}, got {classes}")
    return given


def _chosen(scores: Array, classes: Integers | None) -> Array:
    """dS/dscores: one at each image's class."""
    chosen = np.zeros_like(scores)
    chosen[np.arange(len(scores)), _labels(scores, classes)] = 1
    return chosen


@dataclass
class _Watched:
    """A network that shares its weights with another, and remembers what one layer saw."""

    module: Module
    outputs: list[Array] = field(default_factory=list)  # in the order of the forward pass
    gradients: list[Array] = field(default_factory=list)  # in that of the backward pass

    @staticmethod
    def of(module: Module, layer: str) -> _Watched:
        shared: dict[int, object] = {}
        for _, inner in module.modules():
            for parameter in inner.own_parameters().values():
                # Frozen, and with a gradient of its own: the network's may be half summed up.
                grad = np.zeros_like(parameter.grad)
                shared[id(parameter)] = replace(parameter, grad=grad, frozen=True)
            for buffer in inner.own_buffers().values():
                shared[id(buffer)] = buffer
        watched = _Watched(copy.deepcopy(module, shared))
        named = dict(watched.module.modules())
        if layer not in named:
            hint = suggestion(layer, list(named))
            raise CoreError(f"the network has no layer {layer!r}{hint}")
        target = named[layer]
        plain = target.forward

        def forward(x: Array, run: Run) -> tuple[Array, Backward]:
            y, backward = plain(x, run)
            watched.outputs.append(y)

            def remember(dy: Array) -> Array:
                watched.gradients.append(dy)
                return backward(dy)

            return y, remember

        target.forward = forward  # type: ignore[method-assign] # of this copy alone
        return watched
