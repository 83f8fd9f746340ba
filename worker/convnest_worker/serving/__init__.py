"""Models in service: a supervisor, and one process per model instance."""
