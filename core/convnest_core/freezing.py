"""Freezing: parts of a trained network that further training leaves as they are."""

from __future__ import annotations

from .errors import CoreError
from .module import Module
from .suggestions import suggestion


def freeze(module: Module, path: str = "") -> None:
    """Leave the parameters of the modules at `path` and within alone (default: all of `module`).

    Optimizers pass them over, and a frozen BatchNorm normalises by its running statistics, as in
    evaluation, and keeps them. A frozen network may be built, loaded and frozen in any order.
    Raises CoreError where no module has this path.
    """
    _mark(module, path, frozen=True)


def unfreeze(module: Module, path: str = "") -> None:
    """Let the parameters of the modules at `path` and within be trained again."""
    _mark(module, path, frozen=False)


def _mark(module: Module, path: str, *, frozen: bool) -> None:
    paths = {one for one, _ in module.modules()}
    if path not in paths:
        hint = suggestion(path, sorted(paths))
        raise CoreError(f"the network has no module {path!r}{hint}")
    for one, inner in module.modules():
        if not path or one == path or one.startswith(f"{path}."):
            inner.frozen = frozen
            for parameter in inner.own_parameters().values():
                parameter.frozen = frozen
