"""Celery on the queue Redis, and the one message we send through it: "look whether a job waits"."""

from urllib.parse import parse_qs, urlsplit

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

#: The task that takes the best waiting job and runs a slice of it. It carries no argument.
RUN_NEXT = "convnest.run_next"
QUEUE = "convnest.jobs"
#: A hint more would tell nobody anything new.
MAX_HINTS = 100
#: The answer to a caller waits while a hint is sent.
_IMPATIENT = {"socket_timeout": 0.7, "socket_connect_timeout": 0.7}

log = structlog.get_logger(__name__)


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a redis-py URL: it names unix sockets otherwise."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    password = f":{parts.password}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={database}"


def make_celery(queue_url: str) -> Celery:
    """The app, for the worker to run and for the server to send with."""
    app = Celery("convnest", broker=broker_url(queue_url), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A message must not stay pinned to a worker that is busy.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        # Nobody listens, and each farewell to a Redis that does not answer delays the worker's end.
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={"socket_timeout": 2.5, "socket_connect_timeout": 1.5},
    )
    return app


class JobHints:
    """Sends hints. Losing one harms nothing: every worker's reaper sends more while jobs wait."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self) -> None:
        """Tells one idle worker to look; does nothing where plenty of hints wait already."""
        try:
            with self._app.connection_for_write(transport_options=_IMPATIENT) as connection:
                connection.ensure_connection(max_retries=0)
                channel = connection.default_channel
                waiting = channel.client.llen(QUEUE)
                if waiting < MAX_HINTS:
                    self._app.send_task(RUN_NEXT, connection=connection, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("hint not sent", error=str(error))
