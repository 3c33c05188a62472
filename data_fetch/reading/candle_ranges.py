"""Candles of a range as a table, and how complete the range is."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from shlex import quote
from typing import Any

from sqlalchemy import Connection

from data_fetch.core.candles.candles import CandleInterval, Kind, expected_spans
from data_fetch.core.candles.completeness import Completeness, as_it_was, completeness_of
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.day_counts import DayCounts, counts_of
from data_fetch.core.candles.expectation import DAY, Expectation
from data_fetch.core.errors import IncompleteRange, SetupError, StillToCome
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import KeyPeriod
from data_fetch.core.market.session import (
    MINUTES_OF_DAY,
    Session,
    midnight_number,
    minute_number,
)
from data_fetch.core.settings import Settings
from data_fetch.core.spans import between, common
from data_fetch.reading.frames import DataAge, arrow_table, converted, form_named, one_of
from data_fetch.reading.instants import date_of, instant
from data_fetch.reading.records import records_for
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.candles.columns import candle_columns, known_minutes
from data_fetch.storage.candles.coverage import (
    LedgerKey,
    ledger_changes,
    load_days,
    load_days_as_of,
)
from data_fetch.storage.candles.histories import History, histories
from data_fetch.storage.candles.past_histories import history_as_of
from data_fetch.storage.database.store import Store

# In minutes of the calendar: a month, which has about 8,000 of trading.
READ_AT_ONCE = 31 * MINUTES_OF_DAY
COLUMNS = {
    "timestamp": "instant",
    **dict.fromkeys(("open", "high", "low", "close"), "float"),
    **dict.fromkeys(("volume", "oi"), "int"),
    "kind": "text",
    "is_final": "bool",
    "instrument_key": "text",
    "source": "text",
}


@dataclass(frozen=True, slots=True)
class Candles:
    """A *table* of candles, oldest first, and the *completeness* of its range.

    The table is a `pyarrow.Table`, a `pandas.DataFrame` or a `polars.DataFrame` with the columns
    timestamp (the start, aware, UTC), open, high, low, close (rupees), volume, oi (units), kind,
    is_final, instrument_key and source. *instrument_keys*: under which keys it was stored; more
    than one when the ISIN changed. *freshness* has the instant of the completeness and the start
    of the newest candle.
    """

    symbol: str
    instrument_keys: tuple[str, ...]
    interval: CandleInterval
    table: Any
    completeness: Completeness
    freshness: DataAge


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleDay:
    """The minutes of one trading day by state, and when its ledger row last changed.

    *last_modified* is None for a day that nothing was ever stored or proved of.
    """

    date: date
    instrument_key: str
    counts: DayCounts
    last_modified: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleRange:
    """A range of one stock's candles in an open store; nothing of it is in memory yet.

    *now* is the instant that the completeness is judged at, *days* are its trading days, oldest
    first. The hours of *provisional_sessions* are not reviewed.
    """

    symbol: str
    interval: CandleInterval
    key_periods: tuple[KeyPeriod, ...]
    as_of: datetime | None
    now: datetime
    completeness: Completeness
    days: Sequence[CandleDay]
    provisional_sessions: Sequence[date]
    store: Store

    @property
    def instrument_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(period.instrument_key for period in self.key_periods))

    @property
    def first(self) -> date:
        return self.key_periods[0].first

    @property
    def last(self) -> date:
        return self.key_periods[-1].last

    @property
    def hint(self) -> str:
        """The command that completes it; empty when it is complete."""
        if self.completeness.complete:
            return ""
        if self.as_of is not None:
            return "Name a later instant."
        if self.completeness.missed:
            span = f"--from {self.first} --to {self.last} --interval {self.interval}"
            return f"Fetch them: data-fetch backfill --symbols {quote(self.symbol)} {span}"
        return "Wait until the day is over, or end the range a day earlier."

    def tables(self, kinds: Collection[Kind], after: datetime | None = None) -> Iterator[Any]:
        """The candles of *kinds* that start later than *after*, oldest first, as Arrow tables of
        a month or less. No connection stays open between two of them."""
        begin = 0 if after is None else minute_number(after) + 1
        for key_period in self.key_periods:
            for first, end in _portions(key_period):
                if end > begin:
                    yield self._portion(key_period.instrument_key, max(first, begin), end, kinds)

    def table(self, kinds: Collection[Kind]) -> Any:
        """All of them in one Arrow table."""
        import pyarrow as pa

        return pa.concat_tables(self.tables(kinds))

    def page(self, kinds: Collection[Kind], after: datetime | None, limit: int) -> tuple[Any, bool]:
        """The first *limit* candles that start later than *after* in one Arrow table, and whether
        there are more."""
        import pyarrow as pa

        found, rows = [], 0
        for table in self.tables(kinds, after):
            found.append(table)
            rows += len(table)
            if rows > limit:
                break
        whole = pa.concat_tables(found or [no_candles_table()])
        return whole.slice(0, limit), rows > limit

    def _portion(self, key: str, first: int, end: int, kinds: Collection[Kind]) -> Any:
        with self.store.reading() as connection:
            columns = candle_columns(connection, key, self.interval, first, end, kinds, self.as_of)
        keys = [key] * len(columns["timestamp"])
        return arrow_table({**columns, "instrument_key": keys}, COLUMNS)

    def freshness(self, table: Any) -> DataAge:
        """How recent *table* is, one of this range."""
        newest = table["timestamp"][-1].as_py() if len(table) else None
        return DataAge(as_of=self.now, newest=newest)

    def refuse_incomplete(self) -> None:
        """Raises IncompleteRange when a candle is missed or still to come."""
        if self.completeness.complete:
            return
        missed, pending = self.completeness.missed, self.completeness.pending
        unit = "minutes" if self.interval is CandleInterval.MINUTE else "days"
        raise IncompleteRange(
            f"{self.symbol} from {self.first} to {self.last} is incomplete: of "
            f"{self.completeness.expected} {unit}, {missed} are missed and {pending} still to come",
            hint=self.hint,
        )


def candles(
    symbol: str,
    first: date | str,
    last: date | str,
    *,
    interval: str = "1minute",
    as_of: datetime | str | None = None,
    kinds: Sequence[str] = ("traded",),
    form: str = "arrow",
    complete: bool = False,
    settings: Settings | None = None,
) -> Candles:
    """The stored candles of *symbol* from the trading date *first* to *last*, both included.

    Days to come are left out. *interval* is "1minute" or "day", *form* "arrow", "pandas" or
    "polars". *kinds*: "traded" rows are continuous trading; "auction" (the closing auction in
    one row) and "carried" (flat rows the provider fills in around it) are included when they are
    named. *as_of*, an aware instant or ISO text with an offset, gives the candles and their
    completeness as stored at that instant. With *complete* a range is rejected when it lacks a
    candle that could still arrive. A former symbol is followed to the present one; days before a
    new ISIN are those of the old one. *settings* are those of this process and its working
    folder unless given.

    For Arrow the completeness and freshness are in the schema's metadata as well, for pandas in
    `.attrs`.

    Raises IncompleteRange, SetupError for an invalid argument or a symbol that the store does
    not know, CalendarUnknown, StoreUnreachable.
    """
    convert = form_named(form)
    chosen = [Kind(one_of(kind, [*Kind], "kind")) for kind in kinds]
    with candle_range(
        settings or process_settings(),
        symbol,
        date_of(first),
        date_of(last),
        CandleInterval(one_of(interval, [*CandleInterval], "interval")),
        instant(as_of),
    ) as found:
        if complete:
            found.refuse_incomplete()
        table = found.table(chosen)
        freshness = found.freshness(table)
        return Candles(
            symbol=found.symbol,
            instrument_keys=found.instrument_keys,
            interval=found.interval,
            table=converted(convert, table, found.completeness, freshness),
            completeness=found.completeness,
            freshness=freshness,
        )


def no_candles_table() -> Any:
    """A table of candles without rows."""
    return arrow_table(dict.fromkeys(COLUMNS, ()), COLUMNS)


@contextmanager
def candle_range(
    settings: Settings,
    symbol: str,
    first: date,
    last: date,
    interval: CandleInterval,
    as_of: datetime | None,
) -> Iterator[CandleRange]:
    """The range in its open store, closed at the end. Raises as `candles` does."""
    if first > last:
        raise SetupError(f"{first} is later than {last}", hint="Name the earlier date first.")
    with records_for(settings, [symbol]) as records:
        expectation = records.expectation
        if as_of is not None:
            expectation = replace(expectation, now=min(as_of, expectation.now))
        last = min(last, expectation.today)
        if first > last:
            raise StillToCome(f"{first} was still to come on {last}", hint="Name an earlier date.")
        (stock,) = records.instruments
        with records.store.reading() as connection:
            history = _history(connection, stock, interval, first, last, as_of)
            changed = ledger_changes(connection, list(history.by_key), interval, first, last)
            # The ledger is read before the candles, which are never deleted: it cannot count
            # candles that the table lacks.
            days = [
                day
                for period in history.periods
                for day in _days(
                    connection,
                    expectation,
                    history.by_key[period.instrument_key],
                    interval,
                    period,
                    as_of,
                )
            ]
        yield CandleRange(
            symbol=stock.symbol,
            interval=interval,
            key_periods=tuple(history.periods),
            as_of=as_of,
            now=expectation.now,
            completeness=completeness_of(days),
            days=[_candle_day(day, changed, as_of) for _, day in days],
            provisional_sessions=expectation.provisional_sessions(first, last),
            store=records.store,
        )


def _history(
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


def _days(
    connection: Connection,
    expectation: Expectation,
    stock: Instrument,
    interval: CandleInterval,
    key_period: KeyPeriod,
    as_of: datetime | None,
) -> Iterator[tuple[Session, DayCoverage]]:
    """Every trading day of *key_period*, as of the instant if there is one."""
    key = stock.instrument_key
    first, last = key_period.first, key_period.last
    ledger = (
        load_days(connection, [key], interval, first, last)
        if as_of is None
        else load_days_as_of(connection, key, interval, first, last, as_of)
    )
    days = [
        (session, expectation.day(key, interval, session, ledger.get((key, session.day))))
        for session in expectation.sessions(stock, first, last)
    ]
    if as_of is None:
        yield from days
        return
    there, final = known_minutes(connection, key, interval, *_minutes(key_period), as_of)
    for session, day in days:
        expected = expected_spans(session, interval)
        due = expectation.due(session, interval)
        bars, confirmed = (
            common(between(spans, expected[0][0], expected[-1][1]), expected)
            for spans in (there, final)
        )
        yield session, as_it_was(day, as_of, due, bars, confirmed)


def _candle_day(
    day: DayCoverage, changed: Mapping[LedgerKey, datetime], as_of: datetime | None
) -> CandleDay:
    modified = changed.get((day.instrument_key, day.day))
    known = modified is not None and (as_of is None or modified <= as_of)
    return CandleDay(
        date=day.day,
        instrument_key=day.instrument_key,
        counts=counts_of(day),
        last_modified=modified if known else None,
    )


def _minutes(key_period: KeyPeriod) -> tuple[int, int]:
    return midnight_number(key_period.first), midnight_number(key_period.last + DAY)


def _portions(key_period: KeyPeriod) -> Iterator[tuple[int, int]]:
    """The minutes of *key_period* in portions that are read at once."""
    first, end = _minutes(key_period)
    for start in range(first, end, READ_AT_ONCE):
        yield start, min(start + READ_AT_ONCE, end)
