"""What a range costs over HTTP, beside the bare query of the driver in the same database.

The time of a request is that of a client on this machine, from the request to the last byte. The
bare query has every column of the answer but the instrument's key, which is in its condition.
"""

import asyncio
import http.client
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psycopg2

from benchmarks.bench_coverage import instrument, ledger_days
from benchmarks.figure import Figure, interleaved
from benchmarks.range_server import LONGEST_HOLD
from benchmarks.stores import postgres_store
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.valuation import (
    ChainSummary,
    Forward,
    ForwardMethod,
    LegValuation,
    Metric,
    PricedChain,
    Reason,
)
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.session import instant_of, midnight_number
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import begin_candle_writing, insert_candles
from data_fetch.storage.candles.coverage import save_days
from data_fetch.storage.candles.coverage_counts import CoverageQuery
from data_fetch.storage.chains.figure_tables import FIGURE_TYPES
from data_fetch.storage.chains.history import HEAD_COLUMNS
from data_fetch.storage.chains.rows import METRICS
from data_fetch.storage.chains.snapshots import ChainStore, Received
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

ROUNDS, CLIENTS, TURNS = 25, 16, 4
# The month that is asked for lies between others.
STORED = date(2025, 7, 1), date(2025, 11, 30)
FIRST, LAST = date(2025, 9, 1), date(2025, 9, 30)
NOW = datetime(2025, 12, 1, 6, tzinfo=UTC)
STOCK = replace(
    instrument(0), instrument_key="NSE_EQ|INE000000000", live_key="NSE_EQ|INE000000000", symbol="S0"
)
MONTH = f"/api/data/candles/S0?from={FIRST}&to={LAST}"
CANDLES = "timestamp, open, high, low, close, volume, oi, kind, is_final, source"
CLOSING = ("Host: 127.0.0.1", "Connection: close")
OPENS, POINTS, EXPIRY = datetime(2025, 9, 16, 3, 45, tzinfo=UTC), 720, date(2025, 9, 23)
DAY = "/api/data/chain/NIFTY/history?expiry=2025-09-23&from=2025-09-16&to=2025-09-16"

Query = Callable[[], list[tuple[Any, ...]]]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        with closing(open_store(url, World.LIVE)) as store:
            _fill(store)
        with closing(sqlite3.connect(Path(folder) / "store.db")) as driver, _server(url) as port:
            begin, end = (_microseconds(each) for each in _ends(FIRST, LAST))
            month = _candle_query("?")
            minutes: Query = lambda: driver.execute(month, (begin, end)).fetchall()  # noqa: E731
            since, until = (_microseconds(each) for each in _ends(OPENS.date(), OPENS.date()))
            day = _figure_query("?")
            points: Query = lambda: driver.execute(day, (since, until)).fetchall()  # noqa: E731
            yield from _figures("SQLite", port, minutes, points)
    try:
        with postgres_store(World.LIVE) as (store, session):
            _fill(store)
            cursor = session.cursor()
            url = store.engine.url.render_as_string(hide_password=False)

            def asked(query: str, first: date, last: date) -> Query:
                def run() -> list[tuple[Any, ...]]:
                    cursor.execute(query, _ends(first, last))
                    return cursor.fetchall()

                return run

            with _server(url) as port:
                month, day = _candle_query("%s"), _figure_query("%s")
                minutes = asked(month, FIRST, LAST)
                points = asked(day, OPENS.date(), OPENS.date())
                yield from _figures("PostgreSQL", port, minutes, points)
    except psycopg2.OperationalError:
        detail = "no server: set BENCH_DATABASE_URL"
        yield Figure("a month of minutes, PostgreSQL", float("nan"), "x query", detail=detail)


def _figures(kind: str, port: int, minutes: Query, points: Query) -> Iterator[Figure]:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:

        def get(path: str) -> bytes:
            client.request("GET", path)
            answer = client.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return body

        rows = len(minutes())
        assert rows == orjson.loads(get(MONTH))["count"]

        def as_columns() -> None:
            orjson.dumps(list(zip(*minutes(), strict=True)))

        bounds = {"json": (as_columns, 1.5), "arrow": (minutes, 1.2), "csv": (minutes, 2.0)}
        for form, (bare, bound) in bounds.items():
            path = f"{MONTH}&format={form}"
            size = len(get(path))
            ours, theirs, ratio = interleaved(lambda path=path: get(path), bare, ROUNDS)
            yield Figure(
                f"a month of minutes as {form}, {kind}",
                ratio,
                "x query",
                bound,
                f"{rows} rows, {size / 1e3:.0f} kB: {ours * 1e3:.1f} ms, query {theirs * 1e3:.1f}",
            )
        assert len(points()) == POINTS == orjson.loads(get(DAY))["count"]
        ours, theirs, ratio = interleaved(lambda: get(DAY), points, ROUNDS)
        detail = f"{POINTS} rows: {ours * 1e3:.1f} ms, query {theirs * 1e3:.1f}"
        yield Figure(f"PCR history of a day, {kind}", ratio, "x query", 3, detail)
        get(LONGEST_HOLD)
        asyncio.run(_all_at_once(port))
        # A slow machine takes longer than a server keeps an idle connection.
        client.close()
        held = float(get(LONGEST_HOLD)) * 1e3
        name = f"longest hold of the event loop, {CLIENTS} clients with month ranges, {kind}"
        yield Figure(name, held, "ms", 50)


async def _all_at_once(port: int) -> None:
    async def one(form: str) -> None:
        for _ in range(TURNS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            lines = (f"GET {MONTH}&format={form} HTTP/1.1", *CLOSING, "", "")
            writer.write("\r\n".join(lines).encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()

    forms = ("json", "csv", "arrow", "json")
    await asyncio.gather(*(one(forms[number % len(forms)]) for number in range(CLIENTS)))


def _candle_query(mark: str) -> str:
    of = (
        f"instrument_key = '{STOCK.instrument_key}' AND interval = '1minute' AND kind IN ('traded')"
    )
    return f"SELECT {CANDLES} FROM candles WHERE {of} AND {_between(mark)}"  # noqa: S608


def _figure_query(mark: str) -> str:
    key = ("underlying", "expiry", "source", "timestamp")
    columns = [*(f"s.{name}" for name in HEAD_COLUMNS), *(f"f.{name}" for name in FIGURE_TYPES)]
    joined = " AND ".join(f"s.{name} = f.{name}" for name in key)
    of = f"s.underlying = 'NIFTY' AND s.expiry = '{EXPIRY}' AND s.source = 'upstox'"
    return (
        f"SELECT {', '.join(columns)} FROM chain_snapshots s "  # noqa: S608
        f"JOIN chain_summary f ON {joined} WHERE {of} AND {_between(mark, 's.')}"
    )


def _between(mark: str, of: str = "") -> str:
    return f"{of}timestamp >= {mark} AND {of}timestamp < {mark} ORDER BY {of}timestamp"


def _ends(first: date, last: date) -> tuple[datetime, datetime]:
    after = last + timedelta(days=1)
    return instant_of(midnight_number(first)), instant_of(midnight_number(after))


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _fill(store: Store) -> None:
    save_master(store, iter([STOCK]), date(2025, 5, 1), NOW)
    asked = CoverageQuery(
        instruments=[STOCK],
        interval=CandleInterval.MINUTE,
        first=STORED[0],
        last=STORED[1],
        expectation=Expectation(MarketCalendar.reviewed(), NOW),
    )
    [days] = ledger_days(asked)
    with store.writing() as connection:
        begin_candle_writing(connection)
        came_from = Provenance(source="upstox", is_final=True, fetched_at=NOW, run_id="0" * 32)
        insert_candles(connection, [_block(days)], came_from)
        save_days(connection, days, "0" * 32, NOW)
    chains = [_received(OPENS + timedelta(seconds=30 * number), number) for number in range(POINTS)]
    run = SyncRun(
        run_id="run",
        job="chains",
        due_slot=OPENS,
        started_at=OPENS,
        finished_at=OPENS,
        outcome=Outcome.COMPLETED,
    )
    ChainStore(store).record(chains, run, ())


def _block(days: list[DayCoverage]) -> CandleBlock:
    starts = [
        minute
        for day in days
        for first, end in day.spans(State.PRESENT)
        for minute in range(first, end)
    ]
    prices = [round(1_500 + (start * 7_919 % 10_000) / 20, 2) for start in starts]
    return CandleBlock(
        instrument_key=STOCK.instrument_key,
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=prices,
        high=[price + 1.25 for price in prices],
        low=[price - 1.25 for price in prices],
        close=prices[::-1],
        volume=[start * 7_919 % 100_000 for start in starts],
        oi=[0] * len(starts),
        kinds=[Kind.TRADED] * len(starts),
    )


def _received(at: datetime, number: int) -> Received:
    leg = ChainLeg(strike=Decimal(24_000), option_type=OptionType.CALL, ltp=100.0 + number, oi=75.0)
    chain = Chain(
        underlying="NIFTY",
        expiry=EXPIRY,
        source=ChainSource.UPSTOX,
        unit=QuantityUnit.SHARES,
        exchange_time=None,
        spot=24_000.0 + number,
        legs=(leg,),
    )
    priced = PricedChain(
        chain=chain,
        convention="ours",
        priced_at=at,
        expires_at=datetime(2025, 9, 23, 10, tzinfo=UTC),
        provisional=False,
        years=0.02,
        rate=0.065,
        forward=Forward(value=24_010.0, method=ForwardMethod.PARITY, strikes=3, spread=0.5),
        numbers=(LegValuation.none(Reason.NO_PRICE),),
    )
    metrics = {name: Metric(value=number / 7, used=1, of=2) for name in METRICS}
    summary = ChainSummary(
        priced=priced, age_seconds=None, metrics=metrics, build_up={"long_build_up": 1}
    )
    return Received(summary=summary, received_at=at)


@contextmanager
def _server(url: str) -> Iterator[int]:
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.range_server", folder],
            stdout=subprocess.PIPE,
            text=True,
            env={**inherited, "DATA_SOURCE": "upstox", "DATABASE_URL": url},
        )
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
