"""Page tokens bring a cursor back unchanged; anything else is refused, never a fault."""

from contextlib import suppress

import pytest
from convnest_server.errors import InvalidRequest
from convnest_server.paging import DEFAULT_PAGE, MAX_PAGE, decode_token, encode_token, page_size
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.text(st.characters(codec="utf-8"), max_size=64).filter(lambda text: len(text.encode()) <= 64)
)
def test_a_cursor_comes_back_unchanged(cursor: str) -> None:
    assert decode_token(encode_token(cursor)) == cursor


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_anything_else_is_refused(token: str) -> None:
    with suppress(InvalidRequest):
        assert encode_token(decode_token(token)) == token or not token


def test_no_token_is_the_first_page() -> None:
    assert decode_token("") == ""


def test_a_page_has_a_size() -> None:
    assert page_size(0) == DEFAULT_PAGE
    assert page_size(MAX_PAGE) == MAX_PAGE
    with pytest.raises(InvalidRequest, match="at most 500, got 501"):
        page_size(MAX_PAGE + 1)
