from __future__ import annotations

import json
import threading
import time

import pytest
from convnest import connection
from convnest.connection import Connection, default_address


def test_closing_does_not_wait_for_a_call_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    made = Connection("localhost:1")
    close = made.channel.close
    monkeypatch.setattr(made.channel, "close", stuck.wait)
    monkeypatch.setattr(connection, "_CLOSE_TIMEOUT_S", 0.05)
    began = time.monotonic()
    made.close()
    assert time.monotonic() - began < 5
    stuck.set()
    close()


def test_the_address_is_the_environments_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVNEST_ADDRESS", "host:1")
    assert default_address() == "host:1"
    monkeypatch.delenv("CONVNEST_ADDRESS")
    assert default_address() == "localhost:50051"


def test_only_calls_that_may_be_sent_twice_are_retried() -> None:
    (config,) = json.loads(json.dumps(connection._SERVICE_CONFIG))["methodConfig"]
    methods = {one["method"] for one in config["name"]}
    assert not methods & {"CancelJob", "DeleteJob", "DeleteDataset", "DeleteModel", "UploadDataset"}
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
