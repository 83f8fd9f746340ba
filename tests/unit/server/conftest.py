"""Stored records for the server to tell of."""

import pytest
from convnest_store.blobs import Blob
from convnest_store.catalog import DatasetRecord
from convnest_store.images import ImageShape


@pytest.fixture
def digits() -> DatasetRecord:
    """A dataset of ten classes."""
    return DatasetRecord(
        name="digits",
        digest="sha256:d",
        blob=Blob("datasets/digits/1/data.safetensors", "sha256:b", 1000),
        shape=ImageShape(28, 28, 1),
        classes=tuple("0123456789"),
        train_counts=(500,) * 10,
        test_counts=(100,) * 10,
        source="builtin:digits",
        job_id="job",
        manifest_key="datasets/digits/1/manifest.json",
        created_ms=1_700_000_000_123,
    )
