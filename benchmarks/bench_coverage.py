"""The ledger asked, and the candles recounted: 247 instruments, 42 sessions, 375 minutes.

Of 10,374 instrument-days 202 lack some minutes. The bare side of the recount is the driver's
own count of the same rows by kind and finality, in one process.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime

import psycopg2
from psycopg2.extensions import connection as Session

from benchmarks.figure import Figure, interleaved, seconds
from benchmarks.stores import postgres_store
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    State,
    never_requested,
    with_candles,
    with_response,
)
from data_fetch.core.candles.day_counts import summed
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.session import instant_of
from data_fetch.core.spans import Spans, without
from data_fetch.core.world import World
from data_fetch.storage.candles.audit import recount
from data_fetch.storage.candles.candles import begin_candle_writing, insert_candles
from data_fetch.storage.candles.coverage import save_days
from data_fetch.storage.candles.coverage_counts import (
    CoverageQuery,
    TradingDay,
    day_counts,
    instrument_gaps,
    trading_days,
)
from data_fetch.storage.database.store import Store, open_store

INSTRUMENTS, ROUNDS = 247, 7
FIRST, LAST = date(2025, 6, 2), date(2025, 7, 29)
NOW = datetime(2025, 8, 1, 14, 30, tzinfo=UTC)
CAME_FROM = Provenance(source="upstox", is_final=True, fetched_at=NOW, run_id="0b6f7c9e5d3a4f3c")
ANSWER = Proof("historical answer", CAME_FROM.run_id, NOW)
# Every so many instrument-days one lacks so many minutes.
SHORT_EVERY, SHORT_BY = 51, 19
BARE_COUNT = (
    "SELECT kind, is_final, count(*) FROM candles "
    "WHERE interval = '1minute' AND timestamp >= ? AND timestamp < ? GROUP BY kind, is_final"
)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/store.db"
        with closing(open_store(f"sqlite:///{file}", World.PAPER)) as store:
            span = [minute * 60_000_000 for minute in _fill(store)]
            with closing(sqlite3.connect(file)) as db:
                yield from _figures(
                    store, "SQLite", lambda: db.execute(BARE_COUNT, span).fetchall()
                )
    try:
        with postgres_store() as (store, session):
            first, end = _fill(store)
            yield from _figures(store, "PostgreSQL", _counted(session, first, end))
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("audit, PostgreSQL", float("nan"), "x bare count", detail=detail)


def _figures(store: Store, name: str, bare: Callable[[], object]) -> Iterator[Figure]:
    yield _asked(f"coverage, {name}", lambda: _coverage(store))
    yield _asked(f"gaps, {name}", lambda: _gaps(store))
    mine, theirs, ratio = interleaved(lambda: _audit(store), bare, ROUNDS)
    detail = f"recounted in {mine:.2f} s, bare {theirs:.2f} s"
    yield Figure(f"audit, {name}", ratio, "x bare count", 1.5, detail)


def _asked(name: str, work: Callable[[], object]) -> Figure:
    took = sorted(seconds(work) for _ in range(ROUNDS))[ROUNDS // 2]
    return Figure(f"{name}, {INSTRUMENTS} x 42 days", took * 1000, "ms", detail="orientation: 100")


def _coverage(store: Store) -> None:
    with store.reading() as connection:
        days = [counts for _, days in day_counts(connection, _question()) for _, counts in days]
    assert summed(days).expected == INSTRUMENTS * 42 * 375


def _gaps(store: Store) -> None:
    with store.reading() as connection:
        found = [gap for *_, gaps in instrument_gaps(connection, _question()) for gap in gaps]
    assert len(found) == len(range(0, INSTRUMENTS * 42, SHORT_EVERY))


def _audit(store: Store) -> None:
    with store.reading() as connection:
        assert not recount(connection, _question()).differences


def _question() -> CoverageQuery:
    return question(map(instrument, range(INSTRUMENTS)))


def question(of: Iterable[Instrument]) -> CoverageQuery:
    """A new one each time, with a calendar that has worked out no session yet."""
    return CoverageQuery(
        instruments=list(of),
        interval=CandleInterval.MINUTE,
        first=FIRST,
        last=LAST,
        expectation=Expectation(MarketCalendar.reviewed().with_amendments(), NOW),
    )


def instrument(number: int) -> Instrument:
    key = f"NSE_EQ|ZZP{number:09d}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=f"PAPER{number}",
        segment="NSE_EQ",
        instrument_type="EQ",
    )


def _fill(store: Store) -> tuple[int, int]:
    """3.9 million candles and their ledger; returns the first minute, and the end of the last."""
    asked = _question()
    for of, ledger in zip(asked.instruments, ledger_days(asked), strict=True):
        starts = [
            minute
            for day in ledger
            for first, end in day.spans(State.PRESENT)
            for minute in range(first, end)
        ]
        with store.writing() as connection:
            begin_candle_writing(connection)
            insert_candles(connection, [block_of(of, starts)], CAME_FROM)
            save_days(connection, ledger, CAME_FROM.run_id, NOW)
    spans = [trading.spans for _, days in trading_days(asked) for trading in days]
    return spans[0][0][0], spans[-1][-1][1]


def ledger_days(asked: CoverageQuery) -> Iterator[list[DayCoverage]]:
    """The ledger of each instrument: all its minutes but a few."""
    number = 0
    for of, days in trading_days(asked):
        ledger = []
        for trading in days:
            present = _present(trading, short=number % SHORT_EVERY == 0)
            ledger.append(_ledger_day(of, trading, present))
            number += 1
        yield ledger


def _present(trading: TradingDay, *, short: bool) -> Spans:
    noon = trading.spans[0][0] + 165
    return without(trading.spans, ((noon, noon + SHORT_BY),)) if short else trading.spans


def _ledger_day(instrument: Instrument, trading: TradingDay, present: Spans) -> DayCoverage:
    key, after = instrument.instrument_key, trading.spans[-1][1] + 1
    fresh = never_requested(key, CandleInterval.MINUTE, trading.day, trading.spans, after)
    return with_response(with_candles(fresh, present, present), ANSWER)


def block_of(instrument: Instrument, starts: list[int]) -> CandleBlock:
    rows = len(starts)
    prices, whole = [1234.55] * rows, [4321] * rows
    return CandleBlock(
        instrument_key=instrument.instrument_key,
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=whole,
        oi=whole,
        kinds=[Kind.TRADED] * rows,
    )


def _counted(session: Session, first: int, end: int) -> Callable[[], object]:
    cursor = session.cursor()
    cursor.execute("VACUUM ANALYZE candles")
    cursor.execute("VACUUM ANALYZE coverage")
    cursor.execute("SET max_parallel_workers_per_gather = 0")
    query, range_of = BARE_COUNT.replace("?", "%s"), (instant_of(first), instant_of(end))

    def bare() -> object:
        cursor.execute(query, range_of)
        return cursor.fetchall()

    return bare
