"""How a network is trained, as JSON: optimizer, schedule and loss by name, each with its settings.

    {"name": "adamw", "learning_rate": 0.001, "weight_decay": 0.05}
    {"name": "cosine", "warmup_epochs": 2}

The tables here are the only place that knows which settings there are, what they mean, their
defaults and their ranges: whoever takes a recipe from a stranger checks it against them, and
documentation quotes them. `rates.Rates` follows a schedule, `OPTIMIZER_CLASSES` say what computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .suggestions import suggestion


@dataclass(frozen=True)
class Setting:
    """A number: what it means, its default, and from where to where it may go.

    `above` and `below` take the range's end out of it.
    """

    doc: str
    default: float
    least: float
    most: float
    above: bool = False
    below: bool = False
    whole: bool = False

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, as the end of a sentence about it."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, got {value!r}"
        if self.whole and value != value // 1:
            return f"must be a whole number, got {value}"
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        if low and high:
            return None
        least, most = ">" if self.above else "≥", "<" if self.below else "≤"
        return f"must be {least} {self.least:g} and {most} {self.most:g}, got {value}"


@dataclass(frozen=True)
class Switch:
    """True or false."""

    doc: str
    default: bool = False

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, as the end of a sentence about it."""
        return None if isinstance(value, bool) else f"must be true or false, got {value!r}"


@dataclass(frozen=True)
class Kind:
    """One optimizer or schedule: what it is, and its settings by name."""

    doc: str
    settings: Mapping[str, Setting | Switch]


@dataclass(frozen=True)
class Problem:
    """A field of a recipe (`learning_rate`; `name`) and what is wrong with it."""

    field: str
    message: str


def _rate(default: float) -> Setting:
    return Setting("step size", default, 0, 1000, above=True)


def _decay(default: float) -> Setting:
    return Setting("L2 penalty on weights, not on biases and norms", default, 0, 10)


def _share(doc: str, default: float) -> Setting:
    return Setting(doc, default, 0, 1, below=True)


_EPSILON = Setting("keeps the denominator above zero", 1e-8, 0, 1, above=True, below=True)
_ADAM = {
    "learning_rate": _rate(1e-3),
    "beta1": _share("how much of the mean gradient is kept each step", 0.9),
    "beta2": _share("how much of the mean squared gradient is kept each step", 0.999),
    "epsilon": _EPSILON,
}

OPTIMIZERS: Mapping[str, Kind] = {
    "sgd": Kind(
        "stochastic gradient descent",
        {
            "learning_rate": _rate(0.02),
            "momentum": _share("how much of the last step is kept", 0.9),
            "nesterov": Switch("look ahead along the momentum"),
            "weight_decay": _decay(1e-4),
        },
    ),
    "adam": Kind("adaptive moments", {**_ADAM, "weight_decay": _decay(0.0)}),
    "adamw": Kind("Adam with its weight decay apart", {**_ADAM, "weight_decay": _decay(0.01)}),
    "rmsprop": Kind(
        "gradients divided by their recent size",
        {
            "learning_rate": _rate(1e-3),
            "alpha": _share("how much of the mean squared gradient is kept each step", 0.99),
            "epsilon": _EPSILON,
            "momentum": _share("how much of the last step is kept", 0.0),
            "weight_decay": _decay(0.0),
        },
    ),
}

#: What computes each of them; its arguments are the settings.
OPTIMIZER_CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSProp"}

_WARMUP = {
    "warmup_epochs": Setting(
        "epochs in which the rate first climbs in a line from near zero", 0, 0, 1000
    )
}
_FACTOR = Setting("what the rate is multiplied by", 0.1, 0, 1, above=True, below=True)

SCHEDULES: Mapping[str, Kind] = {
    "constant": Kind("one rate for ever", _WARMUP),
    "step": Kind(
        "falls every so many epochs",
        {
            **_WARMUP,
            "every_epochs": Setting("epochs between falls", 30, 0, 10_000, above=True),
            "factor": _FACTOR,
        },
    ),
    "plateau": Kind(
        "falls when the validation accuracy stops improving",
        {
            **_WARMUP,
            "factor": _FACTOR,
            "patience": Setting("epochs without improvement", 3, 0, 10_000, whole=True),
            "threshold": _share("the share of the error that counts as improvement", 1e-3),
            "least_rate": Setting("it never falls below", 0.0, 0, 1000),
        },
    ),
    "cosine": Kind(
        "falls along half a cosine until the last epoch",
        {**_WARMUP, "least_rate": Setting("where it ends", 0.0, 0, 1000)},
    ),
    "one_cycle": Kind(
        "climbs to the optimizer's rate and falls again, within the training",
        {
            "rising": Setting("share of the steps that climb", 0.3, 0, 1, above=True, below=True),
            "start_divisor": Setting("the peak over the first rate", 25, 1, 1e6),
            "final_divisor": Setting("the first rate over the last", 1e4, 1, 1e9),
        },
    ),
}

LOSSES: Mapping[str, Kind] = {
    "cross_entropy": Kind(
        "softmax cross-entropy",
        {"label_smoothing": _share("share of each label that is spread over all classes", 0.0)},
    ),
    "squared": Kind("half the squared distance to the label's unit vector", {}),
}


def complete(
    kinds: Mapping[str, Kind], given: Mapping[str, object], *, default: str
) -> tuple[dict[str, Any], list[Problem]]:
    """A description with every setting filled in, and all that is wrong with it."""
    name = given.get("name") or default
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(kinds)
        hint = suggestion(name, kinds) if isinstance(name, str) else ""
        unknown = Problem("name", f"must be one of {known}, got {name!r}{hint}")
        # Its settings are looked at all the same, as those of whichever kind has them.
        settings = {field: one for kind in kinds.values() for field, one in kind.settings.items()}
        others = _problems(str(name), Kind("", settings), given)
        return dict(given), [unknown, *others]
    problems = list(_problems(str(name), kind, given))
    defaults = {field: setting.default for field, setting in kind.settings.items()}
    return {"name": name, **defaults, **given}, problems


def _problems(name: str, kind: Kind, given: Mapping[str, object]) -> Iterator[Problem]:
    for field, value in given.items():
        if field == "name":
            continue
        setting = kind.settings.get(field)
        if setting is None:
            known = ", ".join(kind.settings) or "none"
            yield Problem(field, f"is no setting of {name}, which has {known}")
        elif (problem := setting.problem(value)) is not None:
            yield Problem(field, problem)
    if given.get("nesterov") is True and given.get("momentum", 1) == 0:
        yield Problem("nesterov", "needs a momentum above 0")
