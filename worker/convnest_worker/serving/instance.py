"""One model process as the supervisor sees it."""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from convnest_store.registry import ModelVersion
from convnest_store.workers import ModelPresence

from convnest_worker.child import ChildProcess, Message
from convnest_worker.memory import resident_bytes


@dataclass
class Instance:
    """A process that loads or serves a model version."""

    version: ModelVersion
    child: ChildProcess
    key: str
    """The model version as the queue names it."""
    name: str
    state: str = "LOADING"
    images: int = 0
    ended: bool = False
    failure: str = ""
    last_used: float = field(default_factory=time.monotonic)
    last_heard: float = field(default_factory=time.monotonic)
    kill_at: float = math.inf
    """When it is asked to go: how long it may take."""
    slot_lost: bool = False

    @classmethod
    def start(
        cls,
        version: ModelVersion,
        key: str,
        name: str,
        begin: Message,
        *,
        on_message: Callable[[], None],
    ) -> "Instance":
        """Starts the process; it tells when it is ready."""
        begin = {**begin, "manifest": version.dump(), "instance": name}
        child = ChildProcess("convnest_worker.serving", begin, on_message=on_message)
        return cls(version, child, key, name)

    def read_messages(self) -> None:
        """Takes in what the process has told."""
        while not self.ended and (message := self.child.receive(0)) is not None:
            self.last_heard = time.monotonic()
            if message == {}:
                self.ended = True
            elif "ready" in message:
                self.state = "READY"
            elif "images" in message:
                self.images += message["images"]
                if message["images"]:
                    self.last_used = time.monotonic()
            elif "failed" in message:
                self.failure = message["failed"]

    @property
    def silent_for_s(self) -> float:
        """How long it has told nothing; one that works tells every second or so."""
        return time.monotonic() - self.last_heard

    @property
    def resident_bytes(self) -> int:
        """Memory the process holds."""
        return 0 if self.ended else resident_bytes(self.child.pid)

    def presence(self) -> ModelPresence:
        """For `convnest status`."""
        return ModelPresence(
            self.version.model,
            self.version.version,
            self.state,
            self.failure,
            self.resident_bytes,
            self.images,
        )


def new_name(worker: str) -> str:
    """A name that no instance ever had."""
    return f"{worker}/{secrets.token_hex(8)}"
