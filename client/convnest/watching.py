"""Following a job's events through lost connections and restarts of the server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import Final

from convnest_api.v1 import training_pb2, training_pb2_grpc

from convnest.connection import Connection
from convnest.errors import Cancelled, ConvNestError, DeadlineExceeded, Unavailable
from convnest.events import JobEvent, StateChanged, event_from_proto
from convnest.job_decoding import job_state

PATIENCE_S: Final = 60.0

# A stream is renewed this often, so that one whose server vanished without a word is not
# waited on for ever.
_STREAM_S: Final = 60.0
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 2.0


def watch_job(
    connection: Connection,
    job_id: str,
    *,
    cursor: int = 0,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
    on_interruption: Callable[[ConvNestError], None] | None = None,
) -> Generator[JobEvent, None, None]:
    """Yields the job's events after `cursor`, each once, until its final state.

    A lost connection is taken up again after the last event seen; `on_interruption` is told, and
    once `patience_s` have passed without a sign of the server, its error is raised.
    DeadlineExceeded after `timeout_s` in all.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    outage = _Outage(patience_s)
    has_ended = False
    while True:
        came_more = False
        request = training_pb2.WatchJobRequest(id=job_id, cursor=cursor)
        left_s = _STREAM_S if deadline is None else max(0.0, deadline - time.monotonic())
        stream = _stream(connection, request, timeout_s=min(left_s, _STREAM_S))
        try:
            for event in stream:
                outage.end()
                if 0 < event.cursor <= cursor:
                    continue
                cursor = event.cursor or cursor
                came_more = True
                yield event
                if isinstance(event, StateChanged) and event.state.is_final:
                    return
            # A stream may end just before the job does. Only one that began when the job had
            # ended, and brings nothing more, shows that nothing was missed.
            if has_ended and not came_more:
                return
            has_ended = _is_final(connection, job_id)
            if not has_ended:
                raise Unavailable(f"the server at {connection.address} ended the stream of events")
        except DeadlineExceeded as error:
            outage.end()
            if deadline is not None and time.monotonic() >= deadline:
                message = f"job {job_id} has not ended within {timeout_s:g} s"
                raise DeadlineExceeded(message) from error
        except (Unavailable, Cancelled) as error:
            if connection.is_closed:
                raise
            if on_interruption is not None:
                on_interruption(error)
            outage.wait_or_raise(error)
        finally:
            stream.close()


def _stream(
    connection: Connection, request: training_pb2.WatchJobRequest, *, timeout_s: float
) -> Generator[JobEvent, None, None]:
    stub = training_pb2_grpc.TrainingServiceStub(connection.channel)
    with connection.translated_errors():
        call = stub.WatchJob(request, timeout=timeout_s)
        try:
            for response in call:
                yield event_from_proto(response.event)
        finally:
            call.cancel()


def _is_final(connection: Connection, job_id: str) -> bool:
    stub = training_pb2_grpc.TrainingServiceStub(connection.channel)
    response = connection.call(stub.GetJob, training_pb2.GetJobRequest(id=job_id))
    return job_state(response.job.state).is_final


class _Outage:
    """How long the server has been away, and how long to wait before the next attempt."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._began: float | None = None
        self._delay_s = _FIRST_DELAY_S

    def end(self) -> None:
        self._began, self._delay_s = None, _FIRST_DELAY_S

    def wait_or_raise(self, error: ConvNestError) -> None:
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        if now - self._began >= self._patience_s:
            raise error
        time.sleep(self._delay_s * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        self._delay_s = min(2 * self._delay_s, _LONGEST_DELAY_S)
