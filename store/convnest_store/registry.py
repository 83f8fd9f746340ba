"""The models that exist: versions, and aliases that point to them."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import redis

from convnest_store.blobs import Blob
from convnest_store.connection import unavailable_as_ours
from convnest_store.errors import InvalidInput, NotFound
from convnest_store.images import ImageShape
from convnest_store.names import check_alias, check_name, did_you_mean
from convnest_store.scripts import StateScripts, key

SCHEMA_VERSION = 1
_REFERENCE = re.compile(r"(?P<name>[^:@]+)(?::(?P<version>\d{1,9})|@(?P<alias>.+))?")


@dataclass(frozen=True)
class ModelReference:
    """What people write: `name`, `name:2` or `name@alias`."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelReference":
        """Raises InvalidInput (field "model")."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InvalidInput(
                "model", f"a model is written name, name:2 or name@alias, got {text[:80]!r}"
            )
        name = check_name(match["name"], field="model")
        if match["version"] is not None:
            return cls(name, version=int(match["version"]))
        if match["alias"] is not None:
            return cls(name, alias=check_alias(match["alias"], field="model"))
        return cls(name)


@dataclass(frozen=True)
class Preprocessing:
    """Decode, bring to `shape`, divide by 255, take off `mean`, divide by `std` (per channel)."""

    shape: ImageShape
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelVersion:
    """One trained network, never changed once registered; also the manifest beside its blob."""

    model: str
    version: int
    job_id: str
    network: dict[str, Any]  # the network's JSON spec, every option filled in
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    parameters: int
    weights: Blob
    dataset: str
    dataset_digest: str
    spec: dict[str, Any]  # the training job's spec
    history: tuple[dict[str, float], ...]
    test_accuracy: float | None
    fingerprint: dict[str, str]
    manifest_key: str
    created_ms: int
    epoch: int = 0  # the one whose weights these are; 0 in manifests from before it was kept
    by_class: tuple[dict[str, Any], ...] = ()  # validation of each class; likewise
    aliases: tuple[str, ...] = ()

    def dump(self) -> dict[str, Any]:
        """As stored JSON."""
        data = asdict(self)
        del data["aliases"]
        data["preprocessing"]["shape"] = str(self.preprocessing.shape)
        return {"schema": SCHEMA_VERSION, **data}

    @classmethod
    def read(cls, data: dict[str, Any]) -> "ModelVersion":
        """From stored JSON. Raises KeyError, TypeError, ValueError, InvalidInput where damaged."""
        prepare = data["preprocessing"]
        return cls(
            model=data["model"],
            version=int(data["version"]),
            job_id=data["job_id"],
            network=data["network"],
            classes=tuple(data["classes"]),
            preprocessing=Preprocessing(
                ImageShape.parse(prepare["shape"]), tuple(prepare["mean"]), tuple(prepare["std"])
            ),
            parameters=data["parameters"],
            weights=Blob(**data["weights"]),
            dataset=data["dataset"],
            dataset_digest=data["dataset_digest"],
            spec=data["spec"],
            history=tuple(data["history"]),
            test_accuracy=data["test_accuracy"],
            fingerprint=data["fingerprint"],
            manifest_key=data["manifest_key"],
            created_ms=data["created_ms"],
            epoch=data.get("epoch", 0),
            by_class=tuple(data.get("by_class", ())),
        )


@dataclass(frozen=True)
class Model:
    """A name with its versions."""

    name: str
    versions: tuple[int, ...]
    aliases: dict[str, int]
    created_ms: int

    @property
    def latest(self) -> int:
        """The version that the bare name stands for."""
        return self.versions[-1]


def aliases_key(model: str) -> str:
    """The blob that a model's aliases are also written to, to survive the state store."""
    return f"models/{model}/aliases.json"


class ModelRegistry:
    """Model records. All methods may raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = StateScripts(client)

    def get(self, name: str) -> Model:
        """Raises NotFound."""
        found = self._models([name])
        if not found:
            near = did_you_mean(name, self._names(limit=1000))
            raise NotFound(f"model {name[:80]} does not exist{near}")
        return found[0]

    def list(self, *, after: str = "", limit: int = 50) -> Sequence[Model]:
        """By name, at most `limit`, past the name `after`."""
        return self._models(self._names(after=after, limit=limit))

    def _names(self, *, after: str = "", limit: int) -> Sequence[str]:
        with unavailable_as_ours("state"):
            names = self._client.zrangebylex(
                key("models"), f"({after}" if after else "-", "+", 0, limit
            )
        return cast(list[str], names)

    def resolve(self, reference: ModelReference) -> ModelVersion:
        """The version meant. Raises NotFound for a model, version or alias that is not there."""
        model = self.get(reference.name)
        if reference.alias is not None:
            if reference.alias not in model.aliases:
                near = did_you_mean(reference.alias, model.aliases)
                raise NotFound(f"model {model.name} has no alias {reference.alias}{near}")
            version = model.aliases[reference.alias]
        else:
            version = model.latest if reference.version is None else reference.version
        found = self.version(model.name, version)
        if found is None:
            raise NotFound(
                f"model {model.name} has no version {version}; the latest is {model.latest}"
            )
        return _with_aliases(found, model)

    def version(self, name: str, number: int) -> ModelVersion | None:
        """One version without its aliases, or None where it is not there."""
        with unavailable_as_ours("state"):
            manifest = self._client.hget(key("model", name, "versions"), str(number))
        return None if manifest is None else ModelVersion.read(json.loads(cast(str, manifest)))

    def versions(self, name: str, *, before: int = 0, limit: int = 50) -> Sequence[ModelVersion]:
        """Newest first, at most `limit`, older than the version `before`. Raises NotFound."""
        model = self.get(name)
        wanted = [v for v in reversed(model.versions) if before == 0 or v < before][:limit]
        if not wanted:
            return []
        with unavailable_as_ours("state"):
            manifests = self._client.hmget(
                key("model", name, "versions"), [str(version) for version in wanted]
            )
        return [
            _with_aliases(ModelVersion.read(json.loads(text)), model)
            for text in cast(list[str | None], manifests)
            if text is not None
        ]

    def set_alias(self, name: str, alias: str, version: int | None) -> dict[str, int]:
        """Points an alias to a version, or removes it (None); returns the model's aliases.

        Raises NotFound.
        """
        flat = self._scripts.run("set_alias", name, alias, "" if version is None else str(version))
        return dict(zip(flat[::2], map(int, flat[1::2]), strict=True))

    def delete(self, name: str, version: int | None = None) -> Sequence[ModelVersion]:
        """Removes a model or one version of it; returns what went.

        Raises NotFound, FailedPrecondition (an alias points to the version).
        """
        gone = self._scripts.run("delete_model", name, "" if version is None else str(version))
        return [ModelVersion.read(json.loads(manifest)) for manifest in gone]

    def restore(self, version: ModelVersion) -> bool:
        """Registers what the state store has lost; False where the version exists."""
        (added,) = self._scripts.run(
            "restore",
            "model",
            version.model,
            version.version,
            json.dumps(version.dump(), sort_keys=True),
            version.created_ms,
        )
        return added == "1"

    def _models(self, names: Sequence[str]) -> Sequence[Model]:
        with unavailable_as_ours("state"):
            pipeline = self._client.pipeline(transaction=True)
            for name in names:
                pipeline.hget(key("model", name), "created_ms")
                pipeline.hkeys(key("model", name, "versions"))
                pipeline.hgetall(key("model", name, "aliases"))
            answers = pipeline.execute()
        models = []
        for i, name in enumerate(names):
            created, versions, aliases = answers[3 * i : 3 * i + 3]
            if created is not None and versions:
                pointed = {alias: int(version) for alias, version in aliases.items()}
                models.append(Model(name, tuple(sorted(map(int, versions))), pointed, int(created)))
        return models


def _with_aliases(version: ModelVersion, model: Model) -> ModelVersion:
    names = sorted(alias for alias, number in model.aliases.items() if number == version.version)
    return replace(version, aliases=tuple(names))
