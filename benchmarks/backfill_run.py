"""One backfill in a process of its own, so that its memory is its own.

`python -m benchmarks.backfill_run PORT DATABASE_URL` prints what it came to as JSON. Beside the
backfill a live slot of all instruments is collected every second, where a real one comes every
minute.
"""

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

from benchmarks.candle_server import FIRST, INSTRUMENTS, LAST, instrument_keys
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import SystemClock, stopwatch
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import CandleSource, Clock
from data_fetch.core.world import World
from data_fetch.scheduling.rehearsal import peak_memory_mb
from data_fetch.services.backfill import BackfillService
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store

SLOT = timedelta(seconds=1)


def instruments(number: int = INSTRUMENTS) -> list[Instrument]:
    return [
        Instrument(
            instrument_key=key, symbol=f"S{n}", segment="NSE_EQ", instrument_type="EQ", live_key=key
        )
        for n, key in enumerate(instrument_keys(number))
    ]


class LiveSlots(Thread):
    """Asks for all quotes at every full second, and counts the answers that came too late."""

    def __init__(self, client: UpstoxLtpClient, keys: list[str]) -> None:
        super().__init__()
        self._client = client
        self._keys = keys
        self._over = Event()
        self.slots = self.late = 0

    def run(self) -> None:
        clock = SystemClock()
        due = clock.now() + SLOT
        while not clock.wait(due, self._over):
            answer = self._client.quotes(self._keys)
            self.slots += 1
            self.late += len(answer.records) < len(self._keys) or clock.now() > due + SLOT
            due += SLOT

    def end(self) -> None:
        self._over.set()
        self.join()


def pacer_in(folder: Path, clock: Clock) -> Pacer:
    """A pacer with new rate windows in *folder*."""
    return Pacer(FileWindows(folder, clock), lambda: "benchmark", clock, UPSTOX_LIMITS)


def service_for(source: CandleSource, store: Store, clock: Clock, pacer: Pacer) -> BackfillService:
    return BackfillService(
        source=source,
        source_name="benchmark",
        repository=CandleRepository(store),
        calendar=MarketCalendar.reviewed(),
        clock=clock,
        limits=UPSTOX_LIMITS,
        spending=pacer.spending,
        stop=Event(),
    )


def main(port: str, database_url: str) -> None:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        pacer = pacer_in(Path(folder), clock)
        api = UpstoxApi(
            world=World.PAPER,
            base_url=f"http://127.0.0.1:{port}",
            token=TokenKeeper("benchmark", env_file=None, in_environment=False),
            pacing=pacer,
            clock=clock,
        )
        store = open_store(database_url, World.PAPER)
        service = service_for(UpstoxCandleClient(api, clock), store, clock, pacer)
        order = BackfillOrder(
            instruments=instruments(), interval=CandleInterval.MINUTE, first=FIRST, last=LAST
        )
        began = stopwatch()
        plan = service.plan(order)
        live = LiveSlots(UpstoxLtpClient(api, clock), instrument_keys())
        live.start()
        report = service.run(plan)
        seconds = stopwatch() - began
        live.end()
        began = stopwatch()
        again = service.run(service.plan(order))
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "floor": plan.estimate.duration.total_seconds(),
                    "requests": report.requests,
                    "candles": report.candles,
                    "missed": report.missed,
                    "slots": live.slots,
                    "late": live.late,
                    "again_requests": again.requests,
                    "again_candles": again.candles,
                    "again_seconds": stopwatch() - began,
                    "peak_memory_mb": peak_memory_mb(),
                }
            )
        )
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
