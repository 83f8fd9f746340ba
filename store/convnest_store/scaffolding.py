"""What a job keeps in blob storage only until it is final: its upload and its checkpoints."""

from convnest_store.blobs import BlobStore
from convnest_store.jobs import Job


def remove_scaffolding(job: Job, blobs: BlobStore) -> None:
    """Deletes them; the job must be final. Raises Unavailable; what stays then, `gc` collects."""
    for info in list(blobs.list(f"checkpoints/{job.id}-")):
        blobs.delete(info.key)
    if job.spec.get("upload"):
        blobs.delete(job.spec["upload"]["key"])
