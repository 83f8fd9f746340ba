"""What outlives a process: jobs, events, datasets, models, blobs, waiting requests."""
