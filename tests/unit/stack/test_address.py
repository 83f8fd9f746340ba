from __future__ import annotations

from pathlib import Path

import pytest
from convnest.stack import StackError
from convnest.stack.address import check_free, is_loopback, join, reachable, read_port


def test_ipv6_addresses_are_bracketed() -> None:
    assert join("127.0.0.1", 1) == "127.0.0.1:1"
    assert join("::1", 1) == "[::1]:1"


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    assert reachable("0.0.0.0", 1) == "127.0.0.1:1"
    assert reachable("::", 1) == "[::1]:1"
    assert reachable("10.1.2.3", 1) == "10.1.2.3:1"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_only_loopback_is_private(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_port_is_read_from_the_file_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "address"
    assert read_port(path) is None
    path.write_text("[::]:50123\n")
    assert read_port(path) == 50123


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(StackError, match=r"cannot listen on 192\.0\.2\.1:50051: "):
        check_free("192.0.2.1", 50051)
