"""A ConvNest in memory behind a real gRPC server, which tests may stop, start and make fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import convnest
import pytest
from support.fake_api.servicers import add_servicers
from support.fake_api.world import Failure, FakeConvNest


@pytest.fixture
def world() -> Iterator[FakeConvNest]:
    """A running server."""
    world = FakeConvNest(add_servicers)
    world.start()
    yield world
    world.stop()


@pytest.fixture
def client(world: FakeConvNest) -> Iterator[convnest.Client]:
    with convnest.connect(world.address) as client:
        yield client


@pytest.fixture
def failure() -> Callable[..., Failure]:
    """Makes a failure."""
    return Failure
