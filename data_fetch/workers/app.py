"""The program of a worker: Celery with a pool of processes that do units."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker
from celery.exceptions import SecurityWarning
from kombu.exceptions import OperationalError

from data_fetch.core.settings import Settings
from data_fetch.publishing.work_queue import DISPATCH_TASK, CeleryQueue
from data_fetch.runtime.broker import celery_for
from data_fetch.services.work import UnitResult
from data_fetch.workers.process import WorkerProcess
from data_fetch.workers.tasks import add_tasks

# How often one of the processes looks for units that are due, or that the broker has lost.
DISPATCH_SECONDS = 5


def run_worker(
    settings: Settings,
    concurrency: int,
    ready: Callable[[], None],
    report: Callable[[UnitResult], None],
    warn: Callable[[str], None],
) -> None:
    """Do units in *concurrency* processes until SIGTERM or SIGINT; running units are finished.

    *warn* receives Celery's warnings, among them that the broker does not answer. Raises SetupError
    as `celery_for` does.
    """
    app = celery_for(settings)
    process = WorkerProcess(settings, CeleryQueue(app), report)
    add_tasks(app, process)

    def started(sender: Any, **_: object) -> None:
        ready()
        sender.timer.call_repeatedly(DISPATCH_SECONDS, _send_dispatch, (app,))

    def process_ends(**_: object) -> None:
        process.close()

    def own_logging(**_: object) -> None:
        """Where this signal is received, Celery leaves the root logger as it is."""

    signals.setup_logging.connect(own_logging, weak=False)
    signals.worker_ready.connect(started, weak=False)
    signals.worker_process_shutdown.connect(process_ends, weak=False)
    # About pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    try:
        with celery_warnings(warn):
            _worker(app, concurrency).start()
    finally:
        signals.setup_logging.disconnect(own_logging)
        signals.worker_ready.disconnect(started)
        signals.worker_process_shutdown.disconnect(process_ends)


@contextmanager
def celery_warnings(warn: Callable[[str], None]) -> Iterator[None]:
    """Pass each warning and error that Celery logs to *warn*, in one line. It has no other
    handler, and Celery sees to it that Python shows none of its own."""
    handler = _OneLine(warn)
    logger = logging.getLogger("celery")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _OneLine(logging.Handler):
    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(" ".join(record.getMessage().split()))


def _worker(app: Celery, concurrency: int) -> Worker:
    worker: Worker = app.Worker(
        pool="prefork",
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    return worker


def _send_dispatch(app: Celery) -> None:
    # Worth nothing later: the next one follows.
    with suppress(OperationalError):
        app.send_task(DISPATCH_TASK, expires=DISPATCH_SECONDS, retry=False)
