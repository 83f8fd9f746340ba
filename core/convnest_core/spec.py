"""Networks described by JSON: `{"name": "lenet", "options": {...}}` or `{"layers": [...]}`.

A layer is its name (`"relu"`) or an object with one key (`{"conv": {"filters": 6, "kernel": 5}}`);
`{"sum": [[...], [...]]}` and `{"concat": [[...], [...]]}` hold one list of layers for each branch.
Descriptions come from strangers: every number, the number of layers and their nesting are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .architectures import NETWORKS
from .checks import MAX_CLASSES, integer
from .combinators import Concat, Sequential, Sum
from .errors import SpecError
from .layer_kinds import LAYERS
from .layers import Logits
from .module import Module
from .options import Kind, filled
from .suggestions import suggestion

MAX_LAYERS = 2000
MAX_NESTING = 8

_BRANCHING: dict[str, Callable[[Sequence[Module]], Module]] = {"sum": Sum, "concat": Concat}


def network(spec: Mapping[str, object], *, classes: int) -> Module:
    """The network that `spec` describes, ending in `classes` logits; not built yet.

    Raises SpecError, whose path names the value that cannot be used.
    """
    return _read(spec, classes)[1]


def normalise(spec: Mapping[str, object], *, classes: int) -> dict[str, object]:
    """`spec` in its one form, as plain JSON: defaults filled in, integers as integers.

    Raises what `network` raises. Normalising twice changes nothing.
    """
    return _read(spec, classes)[0]


def networks() -> dict[str, Kind]:
    """The networks that a description can name, with their options, defaults and meanings."""
    return dict(NETWORKS)


def layer_kinds() -> dict[str, Kind]:
    """The layers that a description can list (besides `sum` and `concat`)."""
    return dict(LAYERS)


def _read(spec: object, classes: int) -> tuple[dict[str, object], Module]:
    classes = integer("classes", classes, least=2, most=MAX_CLASSES)
    if not isinstance(spec, Mapping):
        raise SpecError(f"a network is an object, got {type(spec).__name__}")
    if ("name" in spec) == ("layers" in spec):
        raise SpecError('a network has either a "name" or a list of "layers"')
    allowed = ("name", "options") if "name" in spec else ("layers",)
    for key in spec:
        if key not in allowed:
            message = f"unknown key {str(key)[:100]!r}{suggestion(key, allowed)}"
            raise SpecError(f"{message}; allowed: {', '.join(allowed)}", field=str(key)[:100])
    if "name" in spec:
        return _named(spec["name"], spec.get("options", {}), classes)
    return _listed(spec["layers"], classes)


def _named(name: object, options: object, classes: int) -> tuple[dict[str, object], Module]:
    kind = NETWORKS.get(name) if isinstance(name, str) else None
    if kind is None:
        hint = suggestion(name, NETWORKS)
        known = ", ".join(NETWORKS)
        message = f"unknown network {str(name)[:100]!r}{hint}; the networks are {known}"
        raise SpecError(message, field="name")
    values, module = _made(kind, options, "options", classes=classes)
    return {"name": name, "options": values}, module


def _listed(layers: object, classes: int) -> tuple[dict[str, object], Module]:
    forms, modules = _Reader().sequence(layers, "layers", depth=0)
    last = forms[-1].get("linear")
    if isinstance(last, dict) and last["features"] != classes:
        raise SpecError(
            f"features must be {classes}, the number of classes, in the last layer; "
            f"got {last['features']}",
            path=f"layers.{len(forms) - 1}.linear",
            field="features",
        )
    # Named so that a parameter's name is the path of its layer in the description.
    body = Sequential({"layers": Sequential(modules), "logits": Logits(classes)})
    return {"layers": forms}, body


class _Reader:
    """Reads lists of layers, and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def sequence(
        self, items: object, path: str, *, depth: int
    ) -> tuple[list[dict[str, object]], list[Module]]:
        if not isinstance(items, list | tuple) or not items:
            raise SpecError("must be a list of one or more layers", path=path)
        if depth > MAX_NESTING:
            raise SpecError(f"branches are nested deeper than {MAX_NESTING}", path=path)
        self._count += len(items)
        if self._count > MAX_LAYERS:
            raise SpecError(f"a network has at most {MAX_LAYERS} layers", path=path)
        read = [self._layer(item, f"{path}.{i}", depth=depth) for i, item in enumerate(items)]
        return [form for form, _ in read], [module for _, module in read]

    def _layer(self, item: object, path: str, *, depth: int) -> tuple[dict[str, object], Module]:
        if isinstance(item, str):
            item = {item: {}}
        if not isinstance(item, Mapping) or len(item) != 1:
            raise SpecError("a layer is a name or an object with one key, its name", path=path)
        name, given = next(iter(item.items()))
        if name in _BRANCHING:
            return self._branches(name, given, f"{path}.{name}", depth=depth)
        kind = LAYERS.get(name)
        if kind is None:
            known = [*LAYERS, *_BRANCHING]
            message = f"unknown layer {str(name)[:100]!r}{suggestion(name, known)}"
            raise SpecError(f"{message}; the layers are {', '.join(known)}", path=path)
        values, module = _made(kind, given, f"{path}.{name}")
        return {name: values}, module

    def _branches(
        self, name: str, given: object, path: str, *, depth: int
    ) -> tuple[dict[str, object], Module]:
        if not isinstance(given, list | tuple) or not given:
            raise SpecError("must be a list of branches, each a list of layers", path=path)
        forms: list[list[dict[str, object]]] = []
        branches: list[Module] = []
        for index, items in enumerate(given):
            # An empty branch passes its input on: the shortcut of a residual block.
            form, modules = (
                self.sequence(items, f"{path}.{index}", depth=depth + 1)
                if items not in ([], ())
                else ([], [])
            )
            forms.append(form)
            branches.append(Sequential(modules))
        return {name: forms}, _BRANCHING[name](branches)


def _made(
    kind: Kind, given: object, path: str, **fixed: object
) -> tuple[dict[str, object], Module]:
    try:
        values = filled(kind, given)
        return values, kind.make(**fixed, **values)
    except SpecError as error:
        raise error.under(path) from None
