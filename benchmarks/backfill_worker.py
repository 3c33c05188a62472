"""A worker program of four processes whose provider is the candle server, with shared windows.

`python -m benchmarks.backfill_worker PORT FOLDER` works until SIGTERM; store and broker come from
the environment. Rate windows are in FOLDER.
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.backfill_run import pacer_in, service_for
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.work import UnitKind
from data_fetch.core.world import World
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import store_for
from data_fetch.runtime.units import dispatch_at
from data_fetch.runtime.worker import WorkerParts
from data_fetch.services.backfill_units import BackfillUnits
from data_fetch.services.work import UnitWorker
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.work_units import WorkUnits
from data_fetch.workers import process
from data_fetch.workers.app import run_worker

PROCESSES = 4


def main(port: str, folder: str) -> None:
    @contextmanager
    def worker_for(settings: Settings, queue: WorkQueue) -> Iterator[WorkerParts]:
        clock = SystemClock()
        pacer = pacer_in(Path(folder), clock)
        api = UpstoxApi(
            world=World.PAPER,
            base_url=f"http://127.0.0.1:{port}",
            token=TokenKeeper("benchmark", env_file=None, in_environment=False),
            pacing=pacer,
            clock=clock,
        )
        with closing(store_for(settings)) as store:
            service = service_for(UpstoxCandleClient(api, clock), store, clock, pacer)
            work = {UnitKind.BACKFILL: BackfillUnits(service, store, clock).do}
            yield WorkerParts(
                worker=UnitWorker(WorkUnits(store), work, clock),
                dispatch=dispatch_at(store, queue),
            )

    def ready() -> None:
        warn("Working on windows")

    def warn(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    process.worker_for = worker_for
    run_worker(process_settings(), PROCESSES, ready, lambda _: None, warn)


if __name__ == "__main__":
    main(*sys.argv[1:])
