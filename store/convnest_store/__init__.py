"""What outlives a process: job records, events, datasets, model versions, blobs, waiting requests."""
