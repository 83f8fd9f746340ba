"""Which version a model's name means, remembered for a moment: this is on the serving path."""

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

    async def resolve(self, text: str) -> ModelVersion:
        """The version meant now. Raises InvalidInput, NotFound, Unavailable."""
        known = self._known.get(text)
        if known is not None and time.monotonic() - known[0] < _FRESH_S:
            return known[1]
        reference = ModelReference.parse(text)
        try:
            version = await self._blocking.run(self._models.resolve, reference)
        except Unavailable:
            if known is None:
                raise
            log.warning("serving by the last known version", model=text)
            return known[1]
        self._known[text] = (time.monotonic(), version)
        self._known.move_to_end(text)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return version

    def forget(self) -> None:
        """Something changed: ask anew."""
        self._known.clear()
