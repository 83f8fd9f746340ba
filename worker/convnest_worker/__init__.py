"""The Celery worker: the job runner, and the serving supervisor."""
