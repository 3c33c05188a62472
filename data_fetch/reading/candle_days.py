"""The trading days of a range of candles: what is known of their minutes, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from sqlalchemy import Connection

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.candles.completeness import as_it_was
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.day_counts import DayCounts, counts_of
from data_fetch.core.candles.expectation import DAY, Expectation, day_by
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import KeyPeriod
from data_fetch.core.market.session import Session, midnight_number
from data_fetch.core.spans import Spans, between, common
from data_fetch.storage.candles.columns import known_minutes
from data_fetch.storage.candles.coverage import DAYS_KEPT, load_days_as_of, load_written_days
from data_fetch.storage.candles.histories import History, histories
from data_fetch.storage.candles.past_histories import history_as_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleDay:
    """The *coverage* of one trading day of an instrument, and its *counts*.

    *last_modified* is when something of it was stored or proved last; None where that is not
    known, as for a past instant.
    """

    session: Session
    coverage: DayCoverage
    counts: DayCounts
    last_modified: datetime | None

    @property
    def date(self) -> date:
        return self.coverage.day

    @property
    def instrument_key(self) -> str:
        return self.coverage.instrument_key


def history_of(
    connection: Connection,
    stock: Instrument,
    interval: CandleInterval,
    first: date,
    last: date,
    as_of: datetime | None,
) -> History:
    """What *stock* was from *first* to *last*, both included, as of the instant if there is one."""
    if as_of is not None:
        return history_as_of(connection, stock, interval, first, last, as_of)
    [history] = histories(connection, [stock], interval, first, last).of
    return history


def known_days(
    connection: Connection,
    expectation: Expectation,
    history: History,
    interval: CandleInterval,
    as_of: datetime | None,
) -> list[CandleDay]:
    """Every trading day of *history*, oldest first, as of the instant if there is one."""
    days = _days_now if as_of is None else _days_as_of
    return [
        day
        for period in history.periods
        for day in days(
            connection, expectation, history.by_key[period.instrument_key], interval, period
        )
    ]


def minutes_of(key_period: KeyPeriod) -> tuple[int, int]:
    """The minutes of its days, the second not included."""
    return midnight_number(key_period.first), midnight_number(key_period.last + DAY)


def _days_now(
    connection: Connection,
    expectation: Expectation,
    stock: Instrument,
    interval: CandleInterval,
    of: KeyPeriod,
) -> Iterator[CandleDay]:
    key = stock.instrument_key
    ledger = load_written_days(connection, [key], interval, of.first, of.last)
    for session in expectation.sessions(stock, of.first, of.last):
        known, changed_at = ledger.get((key, session.day), (None, None))
        expected = expected_spans(session, interval)
        # Of a day that is over it is the same from then on.
        due = min(expectation.due(session, interval), expected[-1][1])
        day, counts = _judged(key, interval, session.day, known, expected, due)
        yield CandleDay(session=session, coverage=day, counts=counts, last_modified=changed_at)


@lru_cache(maxsize=DAYS_KEPT)
def _judged(
    instrument_key: str,
    interval: CandleInterval,
    day: date,
    known: DayCoverage | None,
    expected: Spans,
    due: int,
) -> tuple[DayCoverage, DayCounts]:
    """`day_by` and its counts. Most days are read again as they are."""
    found = day_by(instrument_key, interval, day, known, expected, due)
    return found, counts_of(found)


def _days_as_of(
    connection: Connection,
    expectation: Expectation,
    stock: Instrument,
    interval: CandleInterval,
    of: KeyPeriod,
) -> Iterator[CandleDay]:
    """The same as of the instant of *expectation*."""
    key, as_of = stock.instrument_key, expectation.now
    ledger = load_days_as_of(connection, key, interval, of.first, of.last, as_of)
    there, final = known_minutes(connection, key, interval, *minutes_of(of), as_of)
    for session in expectation.sessions(stock, of.first, of.last):
        known, _ = ledger.get((key, session.day), (None, None))
        expected = expected_spans(session, interval)
        bars, confirmed = (
            common(between(spans, expected[0][0], expected[-1][1]), expected)
            for spans in (there, final)
        )
        day = expectation.day(key, interval, session, known)
        due = expectation.due(session, interval)
        then = as_it_was(day, as_of, due, bars, confirmed)
        yield CandleDay(
            session=session,
            coverage=then,
            counts=counts_of(then),
            # The ledger has the last change alone, which may be a later one.
            last_modified=None,
        )
