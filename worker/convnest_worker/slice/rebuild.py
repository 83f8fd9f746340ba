"""A rebuild: what blob storage holds is registered anew in an emptied state store."""

import json
from collections.abc import Callable

from convnest_store.catalog import DatasetCatalog, DatasetRecord
from convnest_store.connection import connect
from convnest_store.errors import StoreError, Unavailable
from convnest_store.registry import ModelRegistry, ModelVersion

from convnest_worker.channel import Message
from convnest_worker.slice.context import Context
from convnest_worker.slice.pace import Pace

_MAX_PROBLEMS = 100


def run_rebuild(context: Context) -> Message:
    """Registers every manifest whose blob is whole; returns counts and problems. Raises Stopped."""
    with connect(context.state_url, decode=True) as client:
        models, datasets = ModelRegistry(client), DatasetCatalog(client)
        problems: list[str] = []
        counts = {"models": 0, "datasets": 0}

        def model(data: Message, _modified_s: float) -> bool:
            version = ModelVersion.read(data)
            with context.blobs.open(version.weights):
                return models.restore(version)

        def dataset(data: Message, modified_s: float) -> bool:
            record = DatasetRecord.read(data, created_ms=0)
            with context.blobs.open(record.blob):
                return datasets.restore(record, created_ms=round(modified_s * 1000))

        readers: dict[str, Callable[[Message, float], bool]] = {
            "models": model,
            "datasets": dataset,
        }
        found = [info for info in context.blobs.list() if info.key.endswith("/manifest.json")]
        pace = Pace(context, "registering")
        for index, info in enumerate(found):
            pace.at(index, len(found))
            kind = info.key.split("/", 1)[0]
            try:
                data = json.loads(context.blobs.read_bytes(info.key))
                counts[kind] += readers[kind](data, info.modified_s)
            except Unavailable:
                raise
            except (StoreError, LookupError, TypeError, ValueError) as error:
                problems.append(f"{info.key}: {error}")
        problems += _restore_aliases(context, models)
    return {
        "publish": None,
        "result": {
            "model_versions": counts["models"],
            "datasets": counts["datasets"],
            "problems": problems[:_MAX_PROBLEMS],
        },
    }


def _restore_aliases(context: Context, models: ModelRegistry) -> list[str]:
    problems = []
    for info in context.blobs.list("models/"):
        if not info.key.endswith("/aliases.json"):
            continue
        name = info.key.split("/")[1]
        try:
            known = models.get(name).aliases
            for alias, version in json.loads(context.blobs.read_bytes(info.key)).items():
                if alias not in known:
                    models.set_alias(name, alias, int(version))
        except Unavailable:
            raise
        except (StoreError, AttributeError, TypeError, ValueError) as error:
            problems.append(f"{info.key}: {error}")
    return problems
