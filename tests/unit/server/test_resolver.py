"""Names are resolved once in a while, also while nobody can resolve them."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from convnest_server import resolver as resolver_module
from convnest_server.blocking import Blocking
from convnest_server.resolver import ModelResolver
from convnest_store.errors import Unavailable
from convnest_store.registry import ModelReference, ModelRegistry, ModelVersion


class Registry:
    """Answers, or is away; counts how often it was asked."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    def resolve(self, reference: ModelReference) -> ModelVersion:
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return cast(ModelVersion, reference.name)


class Clock:
    """Time as the resolver reads it; asyncio keeps its own."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    """One thread."""
    blocking = Blocking(threads=1, waiting=10)
    yield blocking
    blocking.close()


def test_an_outage_is_looked_at_once_in_a_while_and_not_with_every_request(
    blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    clock = Clock()
    monkeypatch.setattr(resolver_module, "time", clock)

    async def ask(times: int) -> None:
        for _ in range(times):
            assert cast(str, await resolver.resolve("digits")) == "digits"

    resolver = ModelResolver(cast(ModelRegistry, registry), blocking)
    with asyncio.Runner() as runner:
        runner.run(ask(3))
        assert registry.asked == 1
        registry.is_away, clock.now = True, 102.0
        runner.run(ask(5))
        assert registry.asked == 2
        registry.is_away, clock.now = False, 104.0
        runner.run(ask(5))
        assert registry.asked == 3
        registry.is_away = True
        with pytest.raises(Unavailable):
            runner.run(resolver.resolve("another"))
