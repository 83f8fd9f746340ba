"""Which version a model's name means, remembered for a moment: this is on the serving path."""

import asyncio
import time
from collections import OrderedDict

import structlog
from convnest_store.errors import Unavailable
from convnest_store.registry import ModelReference, ModelRegistry, ModelVersion

from convnest_server.blocking import Blocking

_FRESH_S = 1.0
_KEPT = 1000

log = structlog.get_logger(__name__)


class ModelResolver:
    """Resolves names. While the state Redis is away, the last known answer serves on."""

    def __init__(self, models: ModelRegistry, blocking: Blocking) -> None:
        self._models, self._blocking = models, blocking
        self._known: OrderedDict[str, tuple[float, ModelVersion]] = OrderedDict()
        self._generation = 0
        self._asking: dict[str, asyncio.Future[ModelVersion]] = {}

    async def resolve(self, text: str) -> ModelVersion:
        """The version meant now. Raises InvalidInput, NotFound, Unavailable."""
        known = self._known.get(text)
        if known is not None and time.monotonic() - known[0] < _FRESH_S:
            return known[1]
        reference = ModelReference.parse(text)
        generation = self._generation
        try:
            version = await self._ask(text, reference)
        except Unavailable:
            if known is None:
                raise
            # As if it were fresh: the next look is in a moment, not with every request.
            self._known[text] = (time.monotonic(), known[1])
            log.warning("serving by the last known version", model=text)
            return known[1]
        if generation == self._generation:
            self._known[text] = (time.monotonic(), version)
            self._known.move_to_end(text)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return version

    async def _ask(self, text: str, reference: ModelReference) -> ModelVersion:
        """Asks once for all who want to know it now; one that gives up leaves the others be."""
        asking = self._asking.get(text)
        if asking is None:
            asking = asyncio.ensure_future(self._blocking.run(self._models.resolve, reference))
            self._asking[text] = asking
            asking.add_done_callback(lambda done: self._asked(text, done))
        return await asyncio.shield(asking)

    def _asked(self, text: str, done: asyncio.Future[ModelVersion]) -> None:
        if self._asking.get(text) is done:
            del self._asking[text]
        if not done.cancelled():
            done.exception()  # retrieved, in case all who asked have gone

    def forget(self) -> None:
        """Something changed: ask anew."""
        self._generation += 1
        self._known.clear()
        self._asking.clear()
