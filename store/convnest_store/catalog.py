"""The datasets that exist, by name."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import redis

from convnest_store.blobs import Blob
from convnest_store.connection import unavailable_as_ours
from convnest_store.errors import NotFound
from convnest_store.images import ImageShape
from convnest_store.names import did_you_mean
from convnest_store.scripts import StateScripts, key

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class DatasetRecord:
    """What is known of a dataset without opening its blob."""

    name: str
    digest: str
    blob: Blob
    shape: ImageShape
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    source: str
    job_id: str
    manifest_key: str
    created_ms: int = 0

    def dump(self) -> dict[str, Any]:
        """As stored JSON; also the manifest beside the blob."""
        record = asdict(self)
        del record["created_ms"]
        return {"schema": SCHEMA_VERSION, "shape": str(self.shape)} | {
            name: value for name, value in record.items() if name != "shape"
        }

    @classmethod
    def read(cls, data: dict[str, Any], *, created_ms: int) -> "DatasetRecord":
        """From stored JSON. Raises KeyError, TypeError, ValueError, InvalidInput where damaged."""
        return cls(
            name=data["name"],
            digest=data["digest"],
            blob=Blob(**data["blob"]),
            shape=ImageShape.parse(data["shape"]),
            classes=tuple(data["classes"]),
            train_counts=tuple(data["train_counts"]),
            test_counts=tuple(data["test_counts"]),
            source=data["source"],
            job_id=data["job_id"],
            manifest_key=data["manifest_key"],
            created_ms=created_ms,
        )


class DatasetCatalog:
    """Dataset records. All methods may raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = StateScripts(client)

    def get(self, name: str) -> DatasetRecord:
        """Raises NotFound."""
        with unavailable_as_ours("state"):
            fields = cast(dict[str, str], self._client.hgetall(key("dataset", name)))
        if not fields:
            near = did_you_mean(name, self._names(limit=1000))
            raise NotFound(f"dataset {name[:80]} does not exist{near}")
        return DatasetRecord.read(
            json.loads(fields["record"]), created_ms=int(fields["created_ms"])
        )

    def list(self, *, after: str = "", limit: int = 50) -> Sequence[DatasetRecord]:
        """By name, at most `limit`, past the name `after`."""
        names = self._names(after=after, limit=limit)
        with unavailable_as_ours("state"):
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(key("dataset", name))
            records = cast(list[dict[str, str]], pipeline.execute())
        return [
            DatasetRecord.read(json.loads(fields["record"]), created_ms=int(fields["created_ms"]))
            for fields in records
            if fields
        ]

    def _names(self, *, after: str = "", limit: int) -> Sequence[str]:
        with unavailable_as_ours("state"):
            names = self._client.zrangebylex(
                key("datasets"), f"({after}" if after else "-", "+", 0, limit
            )
        return cast(list[str], names)

    def delete(self, name: str) -> DatasetRecord:
        """Removes the record and returns it. Raises NotFound, FailedPrecondition (in use)."""
        (record,) = self._scripts.run("delete_dataset", name)
        return DatasetRecord.read(json.loads(record), created_ms=0)

    def restore(self, record: DatasetRecord, *, created_ms: int) -> bool:
        """Registers what the state store has lost; False where the name exists."""
        (added,) = self._scripts.run(
            "restore",
            "dataset",
            record.name,
            "",
            json.dumps(record.dump(), sort_keys=True),
            created_ms,
        )
        return added == "1"
