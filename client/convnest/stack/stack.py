"""All of ConvNest on one machine, as a context manager."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from . import address
from .backoff import Backoff
from .data_lock import DataLock, Owner
from .errors import StackError
from .events import Event, OnEvent, ignore_event, one_at_a_time
from .given_redis import check_given_redis
from .keeper import Keeper
from .options import StackOptions
from .part import Part
from .part_log import PartLog
from .parts import Place, Programs, redis_parts, server_part, worker_part
from .runtime_dir import make_runtime_dir, remove_runtime_dir

# A stop takes 10 s at most: the server's calls in flight end while the workers still answer, the
# workers get all they need to drain, and Redis, which syncs every write, needs next to nothing.
_SERVER_ALONE_S = 1.0
_WORKERS_GONE_S = 9.2
_REDIS_GONE_S = 9.8
_KILLED_S = 1.0


class Stack:
    """Redis, server and workers, kept running from `__enter__` to `__exit__`.

    Entering blocks until all are ready, or raises StackError and leaves nothing running. Nothing
    outlives this process, even if it is killed.
    """

    def __init__(
        self,
        options: StackOptions,
        *,
        on_event: OnEvent = ignore_event,
        programs: Programs | None = None,
        make_backoff: Callable[[], Backoff] = Backoff,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Setting `cancelled` from another thread makes an entering that still waits fail."""
        self._options = options
        self._on_event = one_at_a_time(on_event)
        self._cancelled = cancelled or threading.Event()
        self._programs = programs or Programs()
        self._make_backoff = make_backoff
        self._redis: list[Keeper] = []
        self._server: list[Keeper] = []
        self._workers: list[Keeper] = []
        self._undo = ExitStack()
        self._place: Place | None = None

    @property
    def address(self) -> str:
        """Where the server is reached from this machine: `127.0.0.1:50051`."""
        server = self._here.server_address()
        assert server is not None, "the server was ready"
        return server

    @property
    def data_dir(self) -> Path:
        """Where it keeps everything."""
        return self._options.data_dir

    @property
    def state_url(self) -> str:
        """The Redis of the records, as redis-py reads it."""
        return self._here.state_url

    @property
    def queue_url(self) -> str:
        """The Redis of the queues, as redis-py reads it."""
        return self._here.queue_url

    def processes(self) -> dict[str, int]:
        """The process ids of the parts that are ready, by name: `redis-state`, `worker-1`, …"""
        pids = {keeper.part.name: keeper.ready_pid for keeper in self._keepers}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def kill(self) -> None:
        """End every process now, e.g. when a person has no patience with the stop any more."""
        for keeper in self._keepers:
            keeper.kill()

    def __enter__(self) -> Stack:
        with ExitStack() as undo:
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._undo.close()

    @property
    def _here(self) -> Place:
        assert self._place is not None, "the stack was entered"
        return self._place

    @property
    def _keepers(self) -> list[Keeper]:
        return [*self._server, *self._workers, *self._redis]

    def _start(self, undo: ExitStack) -> None:
        lock = self._take_data_dir()
        undo.callback(lock.release)
        address.check_free(self._options.host, self._options.port)
        place = self._place = self._move_in(lock, undo)
        undo.callback(self._stop)
        self._check_given_redis()

        for part in redis_parts(place):
            self._launch(part, self._redis)
        self._wait_ready(self._redis)

        self._launch(server_part(place, self._programs.server), self._server)
        for number in range(1, self._options.workers + 1):
            self._launch(worker_part(place, self._programs.worker, number=number), self._workers)
        self._wait_ready(self._server)
        # A port that the server chose is kept when it is started again: clients know it now.
        self._server[0].part = server_part(place, self._programs.server)
        lock.write(Owner(os.getpid(), runtime_dir=str(place.runtime_dir), address=self.address))
        self._wait_ready(self._workers)
        self._on_event(Event("ready", detail=self.address))

    def _take_data_dir(self) -> DataLock:
        try:
            (self.data_dir / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.data_dir / "blobs").mkdir(mode=0o700, exist_ok=True)
            return DataLock(self.data_dir)
        except OSError as error:
            raise StackError(f"cannot use {self.data_dir}: {error.strerror}") from error

    def _move_in(self, lock: DataLock, undo: ExitStack) -> Place:
        """Make what the processes share."""
        if lock.previous is not None and lock.previous.runtime_dir:
            remove_runtime_dir(Path(lock.previous.runtime_dir))
        runtime_dir = make_runtime_dir(self._options.runtime_dir)
        undo.callback(remove_runtime_dir, runtime_dir)
        lock.write(Owner(os.getpid(), runtime_dir=str(runtime_dir)))
        # The reading end goes to the server and the workers: they end when this process does.
        parent_fd, held_fd = os.pipe()
        undo.callback(os.close, parent_fd)
        undo.callback(os.close, held_fd)
        return Place(self._options, runtime_dir, lock_fd=lock.fileno(), parent_fd=parent_fd)

    def _check_given_redis(self) -> None:
        for url, role in ((self._options.state_url, "state"), (self._options.queue_url, "queue")):
            if url:
                for warning in check_given_redis(url, role=role):
                    self._on_event(Event("warning", detail=warning))

    def _launch(self, part: Part, keepers: list[Keeper]) -> None:
        keeper = Keeper(
            part,
            log=PartLog(self.data_dir / "logs" / f"{part.name}.log"),
            on_event=self._on_event,
            backoff=self._make_backoff(),
        )
        # Known before it runs, so that nothing can come between its start and its stop.
        keepers.append(keeper)
        keeper.start()

    def _wait_ready(self, keepers: Sequence[Keeper]) -> None:
        for keeper in keepers:
            keeper.wait_ready(self._options.ready_timeout_s, cancelled=self._cancelled)

    def _stop(self) -> None:
        started = time.monotonic()
        self._on_event(Event("stopping"))
        _terminate(self._server)
        _all_ended_by(self._server, started + _SERVER_ALONE_S)
        _terminate(self._workers)
        _end_by([*self._server, *self._workers], started + _WORKERS_GONE_S)
        for keeper in reversed(self._redis):
            keeper.terminate()
            _end_by([keeper], started + _REDIS_GONE_S)
        self._on_event(Event("stopped"))


def _terminate(keepers: Sequence[Keeper]) -> None:
    for keeper in keepers:
        keeper.terminate()


def _all_ended_by(keepers: Sequence[Keeper], deadline: float) -> bool:
    return all(keeper.ended_within(deadline - time.monotonic()) for keeper in keepers)


def _end_by(keepers: Sequence[Keeper], deadline: float) -> None:
    """Wait for them, and kill those that still run at the deadline."""
    if _all_ended_by(keepers, deadline):
        return
    for keeper in keepers:
        keeper.kill()
    _all_ended_by(keepers, time.monotonic() + _KILLED_S)
