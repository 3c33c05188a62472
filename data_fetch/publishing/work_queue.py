"""The queue of the workers: Celery on Redis. It carries keys of units, and nothing that is lost
with it.

A worker takes one key at a time and acknowledges it when the unit is settled. Redis delivers a key
again that is not acknowledged within VISIBILITY_SECONDS; the lease of the unit makes that harmless.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from data_fetch.core.errors import BrokerUnreachable
from data_fetch.core.work import WorkUnit

UNIT_TASK, DISPATCH_TASK = "data_fetch.unit", "data_fetch.dispatch"
# Longer than a unit may take: it is ended before it is delivered again.
VISIBILITY_SECONDS, LONGEST_UNIT_SECONDS = 3_600, 3_000
CONNECT_SECONDS = 5
# Longer than a worker waits for the next key, so that the wait is no timeout.
ANSWER_SECONDS = 30
ATTEMPTS_TO_SEND = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
PRIORITIES = (0, 3, 6, 9)
NO_BROKER = "the broker at CELERY_BROKER_URL does not answer"


def celery_app(broker_url: str, result_backend: str | None, queue: str) -> Celery:
    """The Celery application for one queue; nothing is connected yet."""
    app = Celery("data_fetch", broker=broker_url, backend=result_backend, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        # Of the broker's messages only keys are read: no pickle.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        # The table counts the tries of a unit that ends its process.
        task_reject_on_worker_lost=False,
        task_ignore_result=result_backend is None,
        task_time_limit=LONGEST_UNIT_SECONDS,
        task_publish_retry_policy=ATTEMPTS_TO_SEND,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        # Who can reach the broker can wake workers, and not command them.
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "queue_order_strategy": "priority",
            "priority_steps": list(PRIORITIES),
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": ANSWER_SECONDS,
        },
    )
    return app


class CeleryQueue:
    """Sends the keys of units through *app*."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, units: Sequence[WorkUnit]) -> None:
        """Send the keys of *units*, each with the priority of its kind."""
        if not units:
            return
        with _our_errors(), self._app.producer_or_acquire() as producer:
            for unit in units:
                self._app.send_task(
                    UNIT_TASK, (unit.key,), producer=producer, priority=unit.kind.priority
                )

    def waiting(self) -> int:
        """How many keys are in the queue."""
        with _our_errors(), self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
            queue = self._app.amqp.queues[self._app.conf.task_default_queue]
            with connection.channel() as channel:
                return int(queue(channel).queue_declare().message_count)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, redis.RedisError, OSError) as problem:
        raise BrokerUnreachable(
            f"{NO_BROKER} ({type(problem).__name__})",
            hint="Start it; units wait in the store until then.",
        ) from problem
