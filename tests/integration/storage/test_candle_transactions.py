"""How many candles a transaction may change: TimescaleDB unpacks compressed ones up to a limit."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime

import pytest
from candle_shelf import stock
from sqlalchemy import Engine, event, func, select

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    Kind,
    Provenance,
    SessionCandles,
    placed,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.request_planner import CandleEndpoint
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.session import MINUTES_OF_DAY, midnight_number
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.sources.upstox.candle_endpoints import EXPIRED, HISTORICAL, INTRADAY
from data_fetch.storage.candles.candles import (
    INSTRUMENT_DAYS_AT_ONCE,
    MOST_CANDLES,
    begin_candle_writing,
    candles,
    merge_candles,
)
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.runs import recent_runs

CALENDAR = MarketCalendar.reviewed()
DAY = date(2026, 9, 16)
NOON = datetime(2026, 9, 16, 6, 30, tzinfo=UTC)
RUN = SyncRun.begin("minutes", NOON).finish(NOON, Outcome.COMPLETED)
CAME = Provenance(source="upstox", is_final=False, fetched_at=NOON, run_id=RUN.run_id)
OPENING = midnight_number(DAY) + 9 * 60 + 15


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url, World.PAPER)) as store:
        yield store


@contextmanager
def counted(engine: Engine) -> Iterator[list[int]]:
    """Gets, of each write transaction that was committed, how many rows of candles were written."""
    found: list[int] = []
    rows = 0

    def note(_c: object, cursor: object, statement: str, *_: object) -> None:
        nonlocal rows
        if statement.startswith("INSERT INTO candles"):
            rows += cursor.rowcount  # type: ignore[attr-defined]

    def commit(_: object) -> None:
        nonlocal rows
        if rows:
            found.append(rows)
            rows = 0

    event.listen(engine, "after_cursor_execute", note)
    event.listen(engine, "commit", commit)
    yield found
    event.remove(engine, "after_cursor_execute", note)
    event.remove(engine, "commit", commit)


def block(of: Instrument, starts: list[int], close: float = 1.0) -> CandleBlock:
    many = len(starts)
    return CandleBlock(
        instrument_key=of.instrument_key,
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=[close] * many,
        high=[close] * many,
        low=[close] * many,
        close=[close] * many,
        volume=[1] * many,
        oi=[0] * many,
        kinds=[Kind.TRADED] * many,
    )


def todays(many: int, close: float) -> list[tuple[Instrument, SessionCandles]]:
    stocks = [stock(f"S{number}", f"INE{number:06}A01") for number in range(many)]
    session = CALENDAR.session(DAY, group_of(stocks[0], DAY))
    return [(one, placed(block(one, [OPENING], close), lambda _: session)) for one in stocks]


@pytest.mark.parametrize(
    ("instruments", "transactions"),
    [
        (1, [1]),
        (INSTRUMENT_DAYS_AT_ONCE, [INSTRUMENT_DAYS_AT_ONCE]),
        (2 * INSTRUMENT_DAYS_AT_ONCE + 1, [INSTRUMENT_DAYS_AT_ONCE] * 2 + [1]),
    ],
    ids=str,
)
def test_settlements_are_bounded(store: Store, instruments: int, transactions: list[int]) -> None:
    repository, expectation = CandleRepository(store), Expectation(CALENDAR, NOON)
    repository.record_todays_candles(todays(instruments, 1.0), CAME, RUN, expectation)
    with counted(store.engine) as found:
        written = repository.record_todays_candles(todays(instruments, 2.0), CAME, RUN, expectation)
    assert written.revised == instruments
    # Its source, provenance and values are replaced by ON CONFLICT.
    assert found == transactions
    assert [run.run_id for run in recent_runs(store)] == [RUN.run_id]


def test_a_minute_without_a_candle_has_its_audit_row(store: Store) -> None:
    CandleRepository(store).record_todays_candles([], CAME, RUN, Expectation(CALENDAR, NOON))
    assert [run.run_id for run in recent_runs(store)] == [RUN.run_id]


@pytest.mark.parametrize("endpoint", [EXPIRED, HISTORICAL, INTRADAY], ids=str)
def test_no_response_has_more(endpoint: CandleEndpoint) -> None:
    """One is stored in one transaction, with its ledger."""
    of_a_day = {CandleInterval.MINUTE: MINUTES_OF_DAY, CandleInterval.DAY: 1}
    for interval, days in endpoint.longest_window.items():
        assert days * of_a_day[interval] <= MOST_CANDLES


def test_more_are_refused(store: Store) -> None:
    days = [
        midnight_number(DAY) - before * MINUTES_OF_DAY for before in range(INSTRUMENT_DAYS_AT_ONCE)
    ]
    of = block(stock("S", "INE000001A01"), sorted(day + m for day in days for m in range(376)))
    assert len(of) > MOST_CANDLES

    def merge() -> None:
        with store.writing() as connection:
            begin_candle_writing(connection)
            merge_candles(connection, [of], CAME)

    merge()
    with pytest.raises(ValueError, match="94,000 candles to settle"):
        merge()
    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(candles)) == len(of)
