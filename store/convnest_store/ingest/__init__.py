"""From an uploaded file to a dataset; every file is taken to be hostile until read."""

from convnest_store.ingest.limits import DEFAULT_LIMITS, Limits
from convnest_store.ingest.read import read_dataset

__all__ = ["DEFAULT_LIMITS", "Limits", "read_dataset"]
