"""The Celery tasks: each a few lines around a service."""

from celery import Celery

from data_fetch.publishing.work_queue import DISPATCH_TASK, UNIT_TASK
from data_fetch.workers.process import WorkerProcess


def add_tasks(app: Celery, process: WorkerProcess) -> None:
    """Let *app* do units in the process that runs a task."""
    app.task(process.do, name=UNIT_TASK)
    app.task(process.dispatch, name=DISPATCH_TASK)
