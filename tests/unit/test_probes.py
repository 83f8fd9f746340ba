"""What the health checks of containers ask."""

import pytest
from convnest_server.probe import local_address
from convnest_worker.probe import is_ours


@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("0.0.0.0:50051", "127.0.0.1:50051"),
        ("[::]:50051", "[::1]:50051"),
        (":50051", "127.0.0.1:50051"),
        ("10.1.2.3:80", "10.1.2.3:80"),
        ("localhost:50051", "localhost:50051"),
    ],
)
def test_the_server_is_asked_where_it_listens(listen: str, reached: str) -> None:
    assert local_address(listen) == reached


@pytest.mark.parametrize(
    ("name", "given", "ours"),
    [
        ("box-7", None, True),
        ("box-2-7", None, False),  # of a host called box-2
        ("boxes-7", None, False),
        ("box-7", "eve", False),
        ("eve", "eve", True),
    ],
)
def test_a_worker_is_known_by_its_name(name: str, given: str | None, ours: bool) -> None:
    assert is_ours(name, given=given, host="box") is ours
