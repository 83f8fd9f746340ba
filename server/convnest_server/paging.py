"""Page sizes and page tokens."""

import base64
import binascii

from convnest_server.errors import InvalidRequest, Violation

DEFAULT_PAGE = 50
MAX_PAGE = 500
#: No cursor of ours is longer than a name.
_MAX_TOKEN = 200


def page_size(asked: int) -> int:
    """What to return; raises InvalidRequest past the limit."""
    if asked > MAX_PAGE:
        raise InvalidRequest([Violation("page_size", f"at most {MAX_PAGE}, got {asked}")])
    return asked or DEFAULT_PAGE


def encode_token(cursor: str) -> str:
    """Where the next page begins, for the caller to send back."""
    return base64.urlsafe_b64encode(b"1:" + cursor.encode()).decode()


def decode_token(token: str) -> str:
    """The cursor in a token, "" for the first page; raises InvalidRequest."""
    if not token:
        return ""
    try:
        if len(token) > _MAX_TOKEN:
            raise ValueError(len(token))
        version, _, cursor = base64.b64decode(token, b"-_", validate=True).partition(b":")
        if version != b"1":
            raise ValueError(version)
        return cursor.decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            [Violation("page_token", "it must be a next_page_token, unchanged")]
        ) from error
