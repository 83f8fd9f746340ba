"""What a caller may choose to make a create idempotent."""

from collections.abc import Iterator

from convnest_server.errors import Violation

MAX_REQUEST_ID = 64


def request_id_violations(request_id: str) -> Iterator[Violation]:
    """Why it cannot be used, if it cannot."""
    if len(request_id) > MAX_REQUEST_ID:
        message = f"at most {MAX_REQUEST_ID} characters, got {len(request_id)}"
        yield Violation("request_id", message)
