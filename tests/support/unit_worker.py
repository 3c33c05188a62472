"""A worker program whose units do what their names say, for tests of the way to them.

`quick`: end at once. `held`: wait until the file `release` is there. `poison`: kill the process.
Everything is Celery and the table as in `data-fetch worker`; only the work is another one, and
what lasts minutes lasts seconds. Each try writes a line to `tries.txt`: `begun`, `left` (a key that
was delivered again) or `done`, and the key.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from celery import Celery

from data_fetch.core import work
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import WorkQueue
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.core.work import Retries, UnitFailure, UnitKind
from data_fetch.publishing import work_queue
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_for
from data_fetch.runtime.worker import WorkerParts
from data_fetch.services import work as work_service
from data_fetch.services.work import UnitDispatch, UnitResult, UnitWorker
from data_fetch.storage.work_units import UnitLease, WorkUnits
from data_fetch.workers import app, process

TRIES, RELEASE = "tries.txt", "release"


def note(what: str, key: str) -> None:
    with Path(TRIES).open("a") as file:
        file.write(f"{what} {key}\n")


class NotingWorker(UnitWorker):
    def do(self, key: str) -> UnitResult | None:
        result = super().do(key)
        note("left" if result is None else "done", key)
        return result


@contextmanager
def worker_for(settings: Settings, queue: WorkQueue) -> Iterator[WorkerParts]:
    with closing(store_for(settings)) as store:
        units, clock = WorkUnits(store), SystemClock()

        def do(lease: UnitLease) -> None:
            note("begun", lease.unit.key)
            if "poison" in lease.unit.key:
                os.kill(os.getpid(), signal.SIGKILL)
            while "held" in lease.unit.key and not Path(RELEASE).exists():
                time.sleep(0.05)
            now = clock.now()
            units.settle(lease, lease.begun.finish(now, Outcome.COMPLETED, stored=1), now)

        yield WorkerParts(
            worker=NotingWorker(units, {UnitKind.BACKFILL: do}, clock),
            dispatch=UnitDispatch(units, queue, clock),
        )


def celery_for(settings: Settings) -> Celery:
    broker = settings.celery_broker_url
    assert broker is not None
    made = work_queue.celery_app(broker.get_secret_value(), None, "units")
    options = made.conf.broker_transport_options
    often = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    made.conf.broker_transport_options = {**options, **often, "visibility_timeout": 2}
    return made


def main(concurrency: int) -> None:
    second = timedelta(seconds=1)
    work.RETRIES = {**work.RETRIES, UnitFailure.POISON: Retries(3, second / 10, second)}
    work_service.DELIVERY = second
    app.DISPATCH_SECONDS = 1
    app.celery_for = celery_for
    process.worker_for = worker_for
    app.run_worker(
        process_settings(), concurrency, lambda: note("ready", "-"), lambda _: None, lambda _: None
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
