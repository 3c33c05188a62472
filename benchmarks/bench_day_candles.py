"""What a day candle costs beside a minute candle: from the body to the ledger, without a network.

The ledger has a row for each instrument and day: one for 375 minute candles, and one for each day
candle.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Event
from time import process_time

import orjson

from benchmarks.backfill_run import instruments, pacer_in, service_for
from benchmarks.candle_server import FIRST, LAST, body
from benchmarks.figure import Figure
from data_fetch.core.candles.candles import CandleInterval, CandleReply
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import SystemClock
from data_fetch.core.market.calendar import OTHER_STOCK, MarketCalendar
from data_fetch.core.world import World
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_endpoints import UpstoxCandleEndpoints
from data_fetch.sources.upstox.candle_rows import read_candles
from data_fetch.sources.upstox.responses import read_response
from data_fetch.storage.database.store import open_store

BOUND, ROUNDS = 5.0, 3
SINCE, NOW = date(2022, 1, 1), datetime(2026, 8, 1, 6, tzinfo=UTC)
# About 300,000 minute candles, and 45,000 day candles.
OF_MINUTES, OF_DAYS = 20, 40


def measure() -> Iterator[Figure]:
    taken = [
        (
            _seconds_a_candle(CandleInterval.MINUTE, OF_MINUTES, FIRST),
            _seconds_a_candle(CandleInterval.DAY, OF_DAYS, SINCE),
        )
        for _ in range(ROUNDS)
    ]
    minute, day = min(taken, key=lambda each: each[1] / each[0])
    yield Figure(
        "day candle beside a minute candle, SQLite",
        day / minute,
        "x",
        BOUND,
        f"CPU: {day * 1e6:.0f} and {minute * 1e6:.0f} microseconds",
    )


def _seconds_a_candle(interval: CandleInterval, of: int, first: date) -> float:
    """CPU seconds that a backfill takes for each candle."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        with closing(open_store(f"sqlite:///{folder}/store.db", World.PAPER)) as store:
            pacer = pacer_in(Path(folder), clock)
            service = service_for(_Ready(), store, clock, pacer)
            order = BackfillOrder(
                instruments=instruments()[:of], interval=interval, first=first, last=LAST
            )
            plan = service.plan(order)
            for window in plan.windows:
                _body(window.interval, window.first, window.last)
            began = process_time()
            report = service.run(plan)
            took = process_time() - began
    assert report.missed == 0
    return took / report.candles


class _Ready(UpstoxCandleEndpoints):
    """A provider whose bodies are at hand."""

    def candles(self, window: Window, stop: Event) -> CandleReply:
        found = read_candles(
            read_response(
                RawResponse(NOW, 200, _body(window.interval, window.first, window.last)), dict
            ),
            instrument_key=window.instrument.instrument_key,
            interval=window.interval,
            first_day=window.first,
            last_day=window.last,
            received_at=NOW,
        )
        return CandleReply(block=found.block, complete=found.complete, requests=1, received_at=NOW)


@cache
def _body(interval: CandleInterval, first: date, last: date) -> bytes:
    if interval is CandleInterval.MINUTE:
        return body(first, last, variant=0)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    calendar = MarketCalendar.reviewed()
    candles = [
        [f"{day}T00:00:00+05:30", 1000.0, 1002.0, 998.0, 1001.0, 90_000, 0]
        for day in days
        if calendar.session(day, OTHER_STOCK).open
    ]
    return orjson.dumps({"status": "success", "data": {"candles": candles[::-1]}})
